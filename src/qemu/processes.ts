import type { Host } from '../host/host.ts';
import { HostError } from '../host/host.ts';

/** A process whose command line runs a guest. */
export interface GuestProcess {
  pid: number;
  /** Start in clock ticks since boot, field 22 of /proc/PID/stat: with it a number that was given anew is told apart. */
  started: number;
  argv: string[];
  /**
   * False for a program that only carries the command line: a wrapper that waits for QEMU, or one that is about to become
   * it (`prlimit`, a process between fork and exec).
   */
  isQemu: boolean;
}

type ProcHost = Pick<Host, 'files' | 'clock'>;

const QEMU = /^(qemu-system-[\w-]+|qemu-kvm|kvm)$/;
const BECOMING = 2000; // milliseconds; a wrapper that becomes QEMU does so in a few

/**
 * Processes whose command line runs QEMU with that `-uuid`, QEMU first. Found by /proc alone, so a guest is found whether
 * or not it ever wrote its pid file.
 */
export async function guestProcesses(host: ProcHost, uuid: string): Promise<GuestProcess[]> {
  const found: GuestProcess[] = [];
  for (const name of (await host.files.list('/proc')) ?? []) {
    if (!/^[1-9]\d*$/.test(name)) continue;
    const argv = await commandLine(host, Number(name));
    const program = argv.findIndex((word) => QEMU.test(baseName(word)));
    const at = argv.indexOf('-uuid', Math.max(program, 0));
    if (program < 0 || at < 0 || argv[at + 1]?.toLowerCase() !== uuid.toLowerCase()) continue;
    const state = await processState(host, Number(name));
    if (state) found.push({ pid: Number(name), started: state.started, argv, isQemu: await isQemu(host, Number(name), argv) });
  }
  return found.sort((a, b) => Number(b.isQemu) - Number(a.isQemu) || a.pid - b.pid);
}

/**
 * The QEMU that runs the guest with that UUID, or undefined when there is none. A process that is about to become QEMU is
 * waited for; one that stays something else (a wrapper whose QEMU has ended) is not the guest.
 */
export async function findGuest(host: ProcHost, uuid: string): Promise<GuestProcess | undefined> {
  const deadline = host.clock.now() + BECOMING;
  for (;;) {
    const [first] = await guestProcesses(host, uuid);
    if (!first || first.isQemu) return first;
    if (host.clock.now() >= deadline) return undefined;
    await host.clock.sleep(20);
  }
}

/**
 * Whether the process has ended and let go of its files. One that is being torn down is still there: its command line is
 * empty by then, yet its VFIO groups are held until the memory is unpinned.
 */
export async function isGone(host: ProcHost, process: Pick<GuestProcess, 'pid' | 'started'>): Promise<boolean> {
  const state = await processState(host, process.pid);
  if (!state || state.started !== process.started) return true;
  if (state.letter !== 'Z' && state.letter !== 'X') return false;
  // A zombie has closed its files, unless other threads of it still run.
  return ((await host.files.list(`/proc/${process.pid}/task`)) ?? []).length <= 1;
}

/** State letter and start of a process, or undefined when there is none. */
export async function processState(host: ProcHost, pid: number): Promise<{ letter: string; started: number } | undefined> {
  const text = await gone(host.files.readText(`/proc/${pid}/stat`));
  // The name in parentheses may hold anything, parentheses and blanks too; what follows the last one is fields 3 and on.
  const fields = text?.slice(text.lastIndexOf(')') + 2).split(' ');
  if (!fields || fields.length < 20) return undefined;
  return { letter: fields[0]!, started: Number(fields[19]) };
}

async function commandLine(host: ProcHost, pid: number): Promise<string[]> {
  const text = await gone(host.files.readText(`/proc/${pid}/cmdline`));
  return text ? text.replace(/\0$/, '').split('\0') : [];
}

/** By the program that runs, or by the name it was called where another user's may not be seen. */
async function isQemu(host: ProcHost, pid: number, argv: string[]): Promise<boolean> {
  let program: string | undefined;
  try {
    program = await gone(host.files.link(`/proc/${pid}/exe`));
  } catch (error) {
    if (!(error instanceof HostError && (error.errno === 'EACCES' || error.errno === 'EPERM'))) throw error;
    program = argv[0];
  }
  // An upgrade of the package leaves " (deleted)" behind the name of the program that runs on.
  return program !== undefined && QEMU.test(baseName(program.replace(/ \(deleted\)$/, '')));
}

/** A process that ends while it is read gives ESRCH where a missing one gives ENOENT. */
async function gone<T>(reading: Promise<T | undefined>): Promise<T | undefined> {
  try {
    return await reading;
  } catch (error) {
    if (error instanceof HostError && (error.errno === 'ESRCH' || error.errno === 'ENOENT')) return undefined;
    throw error;
  }
}

function baseName(path: string): string {
  return path.slice(path.lastIndexOf('/') + 1);
}
