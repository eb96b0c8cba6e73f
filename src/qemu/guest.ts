import { type Host, HostError } from '../host/host.ts';
import { guestFiles } from './argv.ts';
import { findGuest, type GuestProcess, guestProcesses, isGone, processState } from './processes.ts';
import { connectQmp, QmpError } from './qmp.ts';
import { decodeUtf8, lastLines } from './text.ts';

type GuestHost = Pick<Host, 'files' | 'clock' | 'hypervisor'>;

const POLL = 50; // milliseconds
const KILLED = 60_000; // milliseconds; giving back tens of GiB of pinned memory takes seconds

export interface StartOptions {
  argv: readonly string[];
  uuid: string;
  /** The folder given to buildArgv. It is created; sockets, console and log of an earlier run in it are removed. */
  folder: string;
  memlock?: number | 'unlimited';
  /** Milliseconds until QMP must answer; 30 s when absent. */
  timeout?: number;
}

export interface StartedGuest {
  pid: number;
  /** QEMU's own, as it greets with. */
  version: string;
  /** `status` of query-status: `running`, `prelaunch`, `paused` ... */
  status: string;
}

/**
 * Starts a guest and waits until its QEMU answers on QMP. On failure nothing of it is left running.
 * @throws HostError `EEXIST` when a guest with that UUID runs; with the last lines of QEMU when it ends before it answers;
 *   `ETIMEDOUT` when it does not answer
 */
export async function startGuest(host: GuestHost, options: StartOptions): Promise<StartedGuest> {
  const { argv, uuid, folder, memlock, timeout = 30_000 } = options;
  const program = argv[0] ?? '';
  const files = guestFiles(folder);
  const already = await findGuest(host, uuid);
  if (already) throw new HostError(`guest ${uuid}`, `it runs already, as process ${already.pid}`, 'EEXIST');
  await host.files.makeFolder(folder);
  for (const path of Object.values(files)) await host.files.remove(path);

  const pid = await host.hypervisor.start(argv, { ...(memlock === undefined ? {} : { memlock }), output: files.output });
  const started = (await processState(host, pid))?.started;
  const child: Pick<GuestProcess, 'pid' | 'started'> | undefined = started === undefined ? undefined : { pid, started };
  const deadline = host.clock.now() + timeout;
  let last = 'its QMP socket is not there';
  for (;;) {
    try {
      const qmp = await connectQmp(host, files.qmp, Math.max(1, Math.min(5000, deadline - host.clock.now())));
      try {
        const status = ((await qmp.execute('query-status')) as { status?: unknown } | undefined)?.status;
        // A wrapper may have been started; the QEMU that answered is the guest.
        const guest = await findGuest(host, uuid);
        if (guest) return { pid: guest.pid, version: qmp.version, status: typeof status === 'string' ? status : 'unknown' };
      } finally {
        qmp.close();
      }
    } catch (error) {
      if (!(error instanceof HostError || error instanceof QmpError)) throw error;
      last = error.message;
    }
    if (!child || (await isGone(host, child))) {
      const words = await tail(host, files.output, 8);
      throw new HostError(
        program,
        `the guest ended before it answered. ${words.length > 0 ? `Its last words:\n${words.join('\n')}` : 'It said nothing'}`,
      );
    }
    if (host.clock.now() >= deadline) {
      await killAll(host, [...(await guestProcesses(host, uuid)), child], []);
      const words = await tail(host, files.output, 8);
      throw new HostError(
        program,
        `the guest did not answer within ${timeout} ms and was ended: ${last}${words.length > 0 ? `\n${words.join('\n')}` : ''}`,
        'ETIMEDOUT',
      );
    }
    await host.clock.sleep(POLL);
  }
}

export interface StopOptions {
  uuid: string;
  folder: string;
  /** Milliseconds that the guest's own system gets to shut down after its power button was pressed; 0 (when absent) does not ask it. */
  graceful?: number;
}

export interface StoppedGuest {
  /** What ended it; `absent` when it did not run. */
  by: 'absent' | 'system_powerdown' | 'quit' | 'SIGTERM' | 'SIGKILL';
  pid?: number;
  /** Milliseconds until its process was gone. */
  took: number;
  /** What was tried in vain, in words. */
  notes: string[];
}

/**
 * Ends a guest, by the mildest means that works, and waits until its process is gone and its devices are free. A guest
 * that does not run is fine.
 * @throws HostError `EBUSY` when even SIGKILL does not end it, `EPERM` when it is another user's
 */
export async function stopGuest(host: GuestHost, options: StopOptions): Promise<StoppedGuest> {
  const { uuid, folder, graceful = 0 } = options;
  const begin = host.clock.now();
  const notes: string[] = [];
  const first = await findGuest(host, uuid);
  const all = await guestProcesses(host, uuid);
  const guest = first ?? all[0];
  if (!guest) return { by: 'absent', took: 0, notes };
  const ended = (by: StoppedGuest['by']): StoppedGuest => ({ by, pid: guest.pid, took: host.clock.now() - begin, notes });

  const ask = async (command: 'system_powerdown' | 'quit', patience: number): Promise<boolean> => {
    try {
      const qmp = await connectQmp(host, guestFiles(folder).qmp, 2000);
      try {
        await qmp.execute(command, undefined, 5000);
      } finally {
        qmp.close();
      }
    } catch (error) {
      if (!(error instanceof HostError || error instanceof QmpError)) throw error;
      // QEMU may end before its answer to quit is out.
      if (!(command === 'quit' && error instanceof HostError && error.errno === 'ECONNRESET')) {
        notes.push(`${command}: ${error.message}`);
        return await isGone(host, guest);
      }
    }
    if (await allGone(host, all, patience)) return true;
    notes.push(`${command}: it still ran ${patience} ms later`);
    return false;
  };

  if (guest.isQemu) {
    if (graceful > 0 && (await ask('system_powerdown', graceful)) && (await allGone(host, all, 1000)))
      return ended('system_powerdown');
    if ((await ask('quit', 10_000)) && (await allGone(host, all, 1000))) return ended('quit');
  }
  return ended(await killAll(host, all, notes));
}

/** The last lines that the guest wrote to its console, fit to be shown; none when there is no such file. */
export async function consoleTail(host: Pick<Host, 'files'>, path: string, lines: number): Promise<string[]> {
  return await tail(host, path, lines);
}

async function killAll(
  host: GuestHost,
  processes: readonly Pick<GuestProcess, 'pid' | 'started'>[],
  notes: string[],
): Promise<'SIGTERM' | 'SIGKILL'> {
  for (const [signal, patience] of [
    ['SIGTERM', 5000],
    ['SIGKILL', KILLED],
  ] as const) {
    // Looked at again right before: the number of a process that has gone may be another's by now.
    for (const process of processes) if (!(await isGone(host, process))) await host.hypervisor.signal(process.pid, signal);
    if (await allGone(host, processes, patience)) return signal;
    notes.push(`${signal}: it still ran ${patience} ms later`);
  }
  throw new HostError(
    `process ${processes.map((p) => p.pid).join(', ')}`,
    `it is still there ${KILLED} ms after SIGKILL`,
    'EBUSY',
  );
}

async function allGone(
  host: GuestHost,
  processes: readonly Pick<GuestProcess, 'pid' | 'started'>[],
  patience: number,
): Promise<boolean> {
  const deadline = host.clock.now() + patience;
  for (;;) {
    const gone = await Promise.all(processes.map((process) => isGone(host, process)));
    if (gone.every(Boolean)) return true;
    if (host.clock.now() >= deadline) return false;
    await host.clock.sleep(POLL);
  }
}

const TAIL = 2 ** 18; // bytes

/** The end of a file that may be longer than can be read at once. */
async function tail(host: Pick<Host, 'files'>, path: string, lines: number): Promise<string[]> {
  let bytes: Uint8Array | undefined;
  try {
    bytes = await host.files.read(path);
  } catch (error) {
    if (!(error instanceof HostError && error.errno === 'EFBIG')) throw error;
    // Its length is between powers of two: look for the first offset with nothing behind it.
    const more = async (offset: number) => ((await host.files.readAt(path, offset, 1))?.length ?? 0) > 0;
    let high = 2 ** 26;
    while (await more(high)) high *= 2;
    let low = high / 2;
    while (high - low > 1) {
      const middle = Math.floor((low + high) / 2);
      if (await more(middle)) low = middle;
      else high = middle;
    }
    const from = Math.max(0, high - TAIL);
    bytes = await host.files.readAt(path, from, TAIL);
  }
  return bytes ? lastLines(decodeUtf8(bytes.subarray(Math.max(0, bytes.length - TAIL))), lines) : [];
}
