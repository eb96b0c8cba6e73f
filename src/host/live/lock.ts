import { createHash, randomUUID } from 'node:crypto';
import { link, open, readFile, rm } from 'node:fs/promises';
import { createServer, type Server } from 'node:net';
import { HostError } from '../host.ts';
import { errnoOf, hostError, isAbsent } from './errors.ts';

/** How long a lock that somebody else is taking over is waited for, in milliseconds. */
const TAKEOVER_LIMIT = 2000;

/**
 * Takes the lock file at `path`, or says who has it. The file names the holder by process id, start time and boot, so a process
 * that got the same number later, or after a reboot, is not taken for the holder; a lock whose holder is gone is taken over.
 *
 * @returns the release, or the holder's text
 */
export async function takeLock(path: string, name: string): Promise<(() => Promise<void>) | string> {
  const mine = await describeSelf();
  const draft = `${path}.${randomUUID()}`;
  try {
    await writeNew(draft, mine);
    try {
      if (!(await linkNew(draft, path))) {
        const holder = await holderOf(path);
        if (holder !== undefined) return holder;
        // The holder is gone. Two processes may see that at once, and the slower must not remove the lock that the quicker
        // took: whoever takes over holds a name that the kernel frees when its process ends, and looks again under it.
        const guard = await takeGuard(path);
        try {
          const meanwhile = await holderOf(path);
          if (meanwhile !== undefined) return meanwhile;
          await rm(path, { force: true });
          if (!(await linkNew(draft, path))) return (await holderOf(path)) ?? 'another process';
        } finally {
          await new Promise<void>((done) => guard.close(() => done()));
        }
      }
    } finally {
      await rm(draft, { force: true });
    }
  } catch (error) {
    throw hostError(name, 'lock', error);
  }
  return async () => {
    // Only our own: after a takeover by force the file may be another's.
    if ((await readIfThere(path)) === mine) await rm(path, { force: true });
  };
}

async function writeNew(file: string, text: string): Promise<void> {
  const handle = await open(file, 'wx', 0o600);
  try {
    await handle.writeFile(text);
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** link(2) creates exclusively and with the content complete: no reader ever sees an empty lock. */
async function linkNew(draft: string, path: string): Promise<boolean> {
  try {
    await link(draft, path);
    return true;
  } catch (error) {
    if (errnoOf(error) === 'EEXIST') return false;
    throw error;
  }
}

async function describeSelf(): Promise<string> {
  const command = process.argv.slice(1).join(' ');
  return `process ${process.pid} started ${await startTime(process.pid)} boot ${await bootId()}: ${command}\n`;
}

/** The text of a living holder, or undefined when there is no lock or its holder is gone. */
async function holderOf(path: string): Promise<string | undefined> {
  const text = await readIfThere(path);
  if (text === undefined) return undefined;
  const match = /^process (\d+) started (\S+) boot (\S+):/.exec(text);
  // A file that is not a lock of ours is not ours to remove.
  if (match === null) return text.trim() || 'an empty lock file';
  const [, pid, start, boot] = match;
  if (boot !== (await bootId()) || start !== (await startTime(Number(pid)))) return undefined;
  return text.trim();
}

async function readIfThere(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if (isAbsent(error)) return undefined;
    throw error;
  }
}

async function bootId(): Promise<string> {
  return ((await readIfThere('/proc/sys/kernel/random/boot_id')) ?? 'unknown').trim();
}

/** Clock ticks since boot at which a process started, or `gone`. Field 22 of /proc/PID/stat; the name before it may hold anything. */
export async function startTime(pid: number): Promise<string> {
  const stat = await readIfThere(`/proc/${pid}/stat`).catch((error: unknown) => {
    if (errnoOf(error) === 'ESRCH') return undefined;
    throw error;
  });
  if (stat === undefined) return 'gone';
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  // A zombie holds nothing any more.
  return fields[0] === 'Z' || fields[0] === 'X' ? 'gone' : (fields[19] ?? 'gone');
}

/** A name in the abstract socket space: exclusive, and freed by the kernel when its holder ends. */
async function takeGuard(path: string): Promise<Server> {
  const guarded = `\0sluice-lock-${createHash('sha256').update(path).digest('hex')}`;
  for (const end = Date.now() + TAKEOVER_LIMIT; ; ) {
    const server = createServer((socket) => socket.destroy());
    const failure = await new Promise<unknown>((done) => {
      server.once('error', done);
      server.listen(guarded, () => done(undefined));
    });
    if (failure === undefined) return server;
    if (errnoOf(failure) !== 'EADDRINUSE') throw failure;
    if (Date.now() > end) throw new HostError(path, 'another process has been taking this lock over for too long', 'EBUSY');
    await new Promise((done) => setTimeout(done, 20));
  }
}
