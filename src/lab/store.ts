import { spawn } from 'node:child_process';
import { access, mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { isAbsolute, join } from 'node:path';
import { LabError } from './errors.ts';

/** `backports`: the newest QEMU and kernel that the distribution offers; `stock`: those of the release itself. */
export type Flavour = 'backports' | 'stock';

/** What the unpacked QEMU says it has. */
export interface Abilities {
  /** First line of `--version`. */
  version: string;
  /** Devices of {@link PROBED_DEVICES} that exist, each with its properties. */
  devices: Record<string, string[]>;
}

/** A lab that is ready to boot. This record is its stamp: it is written last. */
export interface Lab {
  flavour: Flavour;
  /** Absolute; everything below is relative to it. */
  folder: string;
  /** Of the kernel, as `uname -r` prints it. */
  release: string;
  /** For 9p in L1: the modules of that release. */
  modules: string;
  kernel: string;
  initrd: string;
  guestKernel: string;
  guestInitrd: string;
  /** Folder of programs for PATH. */
  bin: string;
  packages: { name: string; version: string }[];
  abilities: Abilities;
  /** Bytes on disk. */
  bytes: number;
  /** Format of this record and of what lies in the folder. */
  format: number;
}

/** Raised when the folder's content changes shape: older ones are built anew. */
export const FORMAT = 3;

/** `$XDG_CACHE_HOME` or `~/.cache`, then `sluice/lab`. Source: XDG Base Directory Specification 0.8. */
export function storeFolder(env: NodeJS.ProcessEnv = process.env): string {
  const base = env.XDG_CACHE_HOME;
  const cache = base !== undefined && isAbsolute(base) ? base : join(env.HOME || homedir(), '.cache');
  const folder = join(cache, 'sluice', 'lab');
  if (/["\n\\:,$`]/.test(folder))
    throw new LabError(`${folder}: the lab cannot live in a folder with one of " \\ : , $ \` in its path; set XDG_CACHE_HOME`);
  return folder;
}

/** The file that names the current folder of a flavour. */
const pointer = (store: string, flavour: Flavour): string => join(store, `${flavour}.current`);

/** The complete lab of a flavour, or undefined when there is none. Reads files only. */
export async function readLab(store: string, flavour: Flavour): Promise<Lab | undefined> {
  try {
    const folder = join(store, (await readFile(pointer(store, flavour), 'utf8')).trim());
    const lab = { ...(JSON.parse(await readFile(join(folder, 'lab.json'), 'utf8')) as Lab), folder };
    if (lab.format !== FORMAT) return undefined;
    for (const file of [lab.kernel, lab.initrd, lab.guestInitrd, lab.modules]) await access(join(folder, file));
    return lab;
  } catch (error) {
    if (error instanceof SyntaxError || (error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw new LabError(`the lab in ${store} cannot be read: ${(error as Error).message}`);
  }
}

/** Makes a complete folder the current one of its flavour, atomically. */
export async function publishLab(store: string, flavour: Flavour, name: string): Promise<void> {
  const path = pointer(store, flavour);
  await writeFile(`${path}.${process.pid}`, `${name}\n`);
  await rename(`${path}.${process.pid}`, path);
}

/**
 * Waits for the store's lock and holds it. The kernel keeps it (flock), so a killed holder never leaves it behind.
 * @param waiting called once when somebody else has it
 * @throws LabError when `flock` of util-linux is missing
 */
export async function lockStore(store: string, waiting: () => void): Promise<() => void> {
  await mkdir(store, { recursive: true, mode: 0o700 });
  const child = spawn('flock', [join(store, 'lock'), 'cat'], { stdio: ['pipe', 'pipe', 'inherit'] });
  child.stdin.on('error', () => {});
  const held = new Promise<void>((resolve, reject) => {
    child.stdout.once('data', () => resolve());
    child.once('error', () => reject(new LabError('the lab needs the program flock: apt-get install util-linux')));
    child.once('exit', (code) => reject(new LabError(`${join(store, 'lock')} cannot be locked (flock ended with ${code})`)));
  });
  child.stdin.write('.');
  const timer = setTimeout(waiting, 300);
  try {
    await held;
  } finally {
    clearTimeout(timer);
  }
  return () => child.stdin.end();
}
