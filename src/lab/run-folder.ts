import { randomBytes } from 'node:crypto';
import { readFileSync, readlinkSync } from 'node:fs';
import { chmod, mkdir, open, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { LabError } from './errors.ts';

const NAME = /^sluice-lab-(\d+)-(\d+)-(\d+)-[0-9a-f]+$/;
const DISK_BYTES = 64 * 1024 * 1024;

/** When a process started, in clock ticks since boot: with its id it names a process for good. Undefined when there is none. Source: proc(5), field 22. */
function startOf(pid: number): string | undefined {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'utf8');
    return text.slice(text.lastIndexOf(')') + 2).split(' ')[19];
  } catch {
    return undefined;
  }
}

/** The process namespace that ids here count in: a container that shares our temporary folder has another. */
const namespace = (): string => /\d+/.exec(readlinkSync('/proc/self/ns/pid'))?.[0] ?? '0';

/** Run folders of this user: whether the process that made each is still there. */
async function runFolders(): Promise<{ path: string; live: boolean }[]> {
  const folders: { path: string; live: boolean }[] = [];
  for (const name of await readdir(tmpdir())) {
    const [, space, pid, start] = NAME.exec(name) ?? [];
    if (space !== namespace()) continue;
    const path = join(tmpdir(), name);
    try {
      if ((await stat(path)).uid === process.getuid?.()) folders.push({ path, live: startOf(Number(pid)) === start });
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    }
  }
  return folders;
}

/** Removes what killed runs left. Their QEMU is gone with them; only their folders remain. */
export async function sweepRunFolders(): Promise<void> {
  for (const { path, live } of await runFolders()) if (!live) await rm(path, { recursive: true, force: true });
}

/** Folders of the labs that running machines were started from. */
export async function labsInUse(): Promise<string[]> {
  const used: string[] = [];
  for (const { path, live } of await runFolders())
    if (live) used.push((await readFile(join(path, 'lab'), 'utf8').catch(() => '')).trim());
  return used;
}

/** What one run of L1 keeps on the host, and what it tells L1. */
export interface RunFolder {
  path: string;
  /** The NVMe controller's namespace: sparse, the token at its first sector. */
  disk: string;
  /** Kernel and init messages. */
  console: string;
  /** Seen by L1, writable. */
  share: string;
  /** Ends each of the command's output streams. */
  mark: string;
}

export interface Job {
  argv: readonly string[];
  env: Readonly<Record<string, string>>;
  cwd: string;
  token: string;
  lab: string;
}

/** One text a line that survives busybox: base64, with a dot behind it so that trailing newlines are not lost. */
const armour = (text: string): string => `${Buffer.from(`${text}.`).toString('base64')}\n`;

/** Creates a run folder for this process. @throws LabError when the temporary folder cannot be used */
export async function makeRunFolder(job: Job): Promise<RunFolder> {
  const path = join(
    tmpdir(),
    `sluice-lab-${namespace()}-${process.pid}-${startOf(process.pid)}-${randomBytes(4).toString('hex')}`,
  );
  if (path.includes(',')) throw new LabError(`${tmpdir()}: QEMU cannot be given a folder with a comma in its path; set TMPDIR`);
  const folder = {
    path,
    disk: join(path, 'nvme.raw'),
    console: join(path, 'console.log'),
    share: join(path, 'share'),
    mark: randomBytes(24).toString('hex'),
  };
  try {
    await mkdir(path, { mode: 0o700 });
    await writeFile(join(path, 'lab'), job.lab);
    const inner = join(folder.share, 'job');
    await mkdir(inner, { recursive: true });
    await chmod(folder.share, 0o777);
    await writeFile(join(inner, 'argv'), job.argv.map(armour).join(''));
    await writeFile(
      join(inner, 'env'),
      Object.entries(job.env)
        .map(([name, value]) => armour(`${name}=${value}`))
        .join(''),
    );
    await writeFile(join(inner, 'cwd'), armour(job.cwd));
    await writeFile(join(inner, 'mark'), `${folder.mark}\n`);
    const disk = await open(folder.disk, 'wx', 0o600);
    try {
      await disk.truncate(DISK_BYTES);
      await disk.write(`${job.token}\n`, 0);
    } finally {
      await disk.close();
    }
  } catch (error) {
    await rm(path, { recursive: true, force: true });
    throw new LabError(`no run folder can be made in ${tmpdir()}: ${(error as Error).message}`);
  }
  return folder;
}
