import { homedir } from 'node:os';
import { isAbsolute, join, resolve } from 'node:path';
import type { Host } from '../host/host.ts';
import type { Globals } from './command.ts';
import { Interrupted, UsageError } from './exit.ts';
import { jsonPieces, makeStyle, type Page, wantsColour } from './output.ts';
import { type Progress, type Sink, startProgress } from './progress.ts';

/** The process as a command sees it; tests give another. */
export interface World {
  stdout: Sink;
  stderr: Sink;
  env: Readonly<Record<string, string | undefined>>;
  uid: number;
}

/** What every verb gets beside its arguments. */
export interface Context {
  readonly world: World;
  readonly json: boolean;
  /** Whether `--host` or `--root` names a host: for verbs that look at one only then. */
  readonly named: boolean;
  /** Folder of journals, absolute. */
  readonly state: string;
  /** This machine, what lies below `--root`, or the record that `--host` names. */
  host(): Promise<Host>;
  /** With `--host lspci:FILE` what somebody posted; undefined for every other host. The words tell more than `host()` of it does. */
  listing(): Promise<{ name: string; text: string } | undefined>;
  /** This machine, for a verb that changes it. @throws UsageError with `--host`: a record cannot be changed */
  machine(): Promise<Host>;
  /** Prints the report: with `--json` as it is, else as `render` draws it. */
  print<R extends { schema: string }>(report: R, render: (report: R, page: Page) => string): void;
  /** Says something beside the report, on standard error. */
  note(text: string): void;
  /** For whatever may take longer than a second. */
  progress(text: string): Progress;
  /**
   * From this call on Ctrl-C does not end the process: it aborts the signal, whose reason is an error to throw once things are
   * as they should be. A second Ctrl-C ends at once.
   */
  interruptible(): AbortSignal;
}

/** What stands before the file of a posted listing. */
const LISTING = 'lspci:';

export function makeContext(globals: Globals, world: World): Context {
  const page: Page = {
    // Wider lines are not easier to read; narrower terminals are obeyed.
    width: Math.max(40, Math.min(world.stdout.isTTY ? (world.stdout.columns ?? 80) : 80, 120)),
    style: makeStyle(wantsColour(world.env, world.stdout.isTTY === true)),
  };
  const state = resolve(globals.state ?? stateFolder(world.env, world.uid));
  const machine = async (): Promise<Host> => {
    const { liveHost } = await import('../host/live/index.ts');
    return liveHost(globals.root === undefined ? {} : { root: resolve(globals.root) });
  };
  const readListing = async (given: string) => {
    const name = given.slice(LISTING.length);
    return { name: name === '-' ? 'standard input' : name, text: await (await import('./input.ts')).readInputText(name) };
  };
  /** Standard input can be read once only. */
  let listed: ReturnType<typeof readListing> | undefined;
  const listing = async () => {
    if (globals.host?.startsWith(LISTING) !== true) return undefined;
    if (globals.root !== undefined) throw new UsageError('--host and --root exclude each other: which host is meant?');
    listed ??= readListing(globals.host);
    return await listed;
  };
  return {
    world,
    json: globals.json,
    named: globals.host !== undefined || globals.root !== undefined,
    state,
    async host() {
      if (globals.host === undefined) return await machine();
      if (globals.root !== undefined) throw new UsageError('--host and --root exclude each other: which host is meant?');
      const { recordedHost, recordedListing } = await import('./recorded-host.ts');
      const posted = await listing();
      return posted === undefined ? await recordedHost(globals.host, state) : recordedListing(posted, state);
    },
    listing,
    async machine() {
      if (globals.host !== undefined)
        throw new UsageError(
          `${globals.host} is a record of a host and cannot be changed or started on`,
          'Leave --host out to change this machine; inspect, groups, check and plan read records.',
        );
      return await machine();
    },
    print(report, render) {
      if (globals.json) for (const piece of jsonPieces(report)) world.stdout.write(piece);
      else world.stdout.write(render(report, page).trimEnd());
      world.stdout.write('\n');
    },
    note: (text) => void world.stderr.write(`${text}\n`),
    progress: (text) => startProgress(world.stderr, text),
    interruptible() {
      const stop = new AbortController();
      process.once('SIGINT', () => stop.abort(new Interrupted()));
      process.once('SIGTERM', () => stop.abort(new Interrupted()));
      return stop.signal;
    },
  };
}

/** Where journals are kept when nobody says otherwise. Source: XDG Base Directory Specification 0.8 for users. */
export function stateFolder(env: World['env'], uid: number): string {
  if (uid === 0) return '/var/lib/sluice';
  const base = env.XDG_STATE_HOME;
  return join(base !== undefined && isAbsolute(base) ? base : join(env.HOME || homedir(), '.local', 'state'), 'sluice');
}
