/** The lab cannot be had, or not on this machine. The message says what is missing and what to do about it. */
export class LabError extends Error {
  override readonly name = 'LabError';
}
