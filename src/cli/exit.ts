/** What a command ends with. */
export const EXIT = {
  ok: 0,
  /** Findings, refusals, or a proof that failed: the command did its work and the answer is no. */
  findings: 1,
  /** The command line or a file that the user wrote is wrong. */
  usage: 2,
  /** The host could not be read, or lacks what the command needs. */
  host: 3,
  /** A change failed; what had been changed before it was put back. */
  change: 4,
  /** A bug of ours (EX_SOFTWARE of sysexits.h). */
  bug: 70,
  /** Ctrl-C: 128 and SIGINT. */
  interrupted: 130,
} as const;

/** Each exit code in words, for help and the manual page. */
export const EXIT_MEANINGS: readonly (readonly [number, string])[] = [
  [EXIT.ok, 'all is well'],
  [EXIT.findings, 'findings, refusals, or something that could not be proven'],
  [EXIT.usage, 'the command line or the VM spec is wrong; nothing was changed'],
  [EXIT.host, 'the host could not be read or lacks something; nothing was changed'],
  [EXIT.change, 'a change failed, and what was changed before it was restored'],
  [EXIT.bug, 'a bug in Sluice'],
  [EXIT.interrupted, 'interrupted'],
];

/** The user wrote something wrong. Lines after the first are details; `hint` says what to do instead. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
  readonly hint: string | undefined;
  constructor(message: string, hint?: string) {
    super(message);
    this.hint = hint;
  }
}

/** Ctrl-C reached a command that had to clean up first. */
export class Interrupted extends Error {
  override readonly name = 'Interrupted';
  constructor() {
    super('interrupted');
  }
}

/** Errors that people can do something about, by the name of their class: the classes live in rooms that load late. */
const CODES: Readonly<Record<string, number>> = {
  UsageError: EXIT.usage,
  SpecError: EXIT.usage,
  HostError: EXIT.host,
  LabError: EXIT.host,
  JournalError: EXIT.host,
  StepError: EXIT.change,
  ChangeError: EXIT.change,
  Interrupted: EXIT.interrupted,
};

/** What an error means for the exit code and the words on the terminal. */
export function explain(error: unknown): { exit: number; kind: string; text: string } {
  if (!(error instanceof Error)) return { exit: EXIT.bug, kind: 'bug', text: bug(String(error)) };
  const exit = CODES[error.name];
  if (exit === undefined) return { exit: EXIT.bug, kind: 'bug', text: bug(error.stack ?? error.message) };
  const hint = error instanceof UsageError && error.hint !== undefined ? `\n${error.hint}` : '';
  return { exit, kind: error.name, text: `${error.message}${hint}` };
}

function bug(details: string): string {
  return `This is a bug in Sluice, not a mistake of yours. Please report it with these lines:\n${details}`;
}
