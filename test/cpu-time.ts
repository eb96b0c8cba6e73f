/**
 * Milliseconds of processor time that a call takes in this process. What else the machine does is not in it, so a test can hold
 * it against a limit that only work which grows with the square of its input would reach.
 */
export function cpuTime(run: () => void): number {
  const before = process.cpuUsage();
  run();
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1000;
}
