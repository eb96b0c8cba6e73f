import { constants } from 'node:fs';
import { type FileHandle, lstat, mkdir, open, readdir, readlink, rename, rm, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { HostError, type HostFiles } from '../host.ts';
import { errnoOf, hostError, isAbsent } from './errors.ts';
import { folderReading } from './folders.ts';
import { anyThreadBlocked, mayBlock, PATIENCE, readGuarded } from './guarded.ts';
import { readKmsg } from './kmsg.ts';
import { MAX_FILE, plainFiles } from './plain.ts';
import type { Root } from './root.ts';
import type { Sys } from './sys.ts';

/** How long an attribute of sysfs may take to be read, in milliseconds. */
const READ_LIMIT = 5000;
/** What O_DIRECT asks of memory, offset and length: a multiple of this suits every disk. */
const ALIGNMENT = 4096;

/** Attributes that the kernel prints from its own memory, taking no lock of the device. Source: Linux drivers/pci/pci-sysfs.c. */
const NEVER_BLOCKS =
  /^\/sys\/bus\/pci\/devices\/[^/]+\/(vendor|device|class|modalias|resource|numa_node|local_cpulist|boot_vga|d3cold_allowed|removable|sriov_(totalvfs|offset|stride|vf_device|drivers_autoprobe))$/;

/** Files of this machine, or of a tree recorded from one. */
export function liveFiles(root: Root, sys: () => Promise<Sys>): HostFiles {
  /** Runs one call on the real path; an error names the host's path. */
  async function at<T>(path: string, last: 'follow' | 'keep', tried: string, run: (file: string) => Promise<T>): Promise<T> {
    try {
      return await run(root.locate(path, last));
    } catch (error) {
      throw hostError(path, tried, error);
    }
  }
  const orAbsent = async <T>(run: Promise<T>): Promise<T | undefined> =>
    await run.catch((error: unknown) => {
      if (isAbsent(error)) return undefined;
      throw error;
    });

  const plain = plainFiles(root);
  /** Whether asking for the place itself, a link or a folder, can wait for nobody. */
  const isQuick = (path: string): boolean => !root.real || path.startsWith('/sys/');

  async function read(path: string): Promise<Uint8Array | undefined> {
    if (!root.real || NEVER_BLOCKS.test(path)) return await plain.read(path);
    if (mayBlock(path)) return await readGuarded(path, READ_LIMIT);
    const reading = orAbsent(at(path, 'follow', 'read', (file) => readWhole(file, path)));
    return path.startsWith('/sys/') ? await withLimit(reading, path) : await reading;
  }

  return {
    read,
    async readText(path) {
      if (!root.real || NEVER_BLOCKS.test(path)) return await plain.readText(path);
      const bytes = await read(path);
      return bytes && Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('utf8');
    },
    // The attributes of this machine are asked each in its own way.
    ...(root.real ? {} : { readFolders: folderReading(root) }),
    readAt: (path, offset, length) =>
      root.real
        ? orAbsent(at(path, 'follow', 'read', (file) => readPart(file, offset, length, sys)))
        : plain.readAt(path, offset, length),
    link: (path) =>
      isQuick(path)
        ? plain.link(path)
        : at(path, 'keep', 'read the link', async (file) => {
            try {
              return await readlink(file);
            } catch (error) {
              if (isAbsent(error) || errnoOf(error) === 'EINVAL') return undefined;
              throw error;
            }
          }),
    claimed: (path) =>
      root.real
        ? withLimit(
            inTurn(() => askClaim(path)),
            path,
          )
        : Promise.resolve(undefined),
    list: (path) =>
      isQuick(path) ? plain.list(path) : orAbsent(at(path, 'follow', 'list', async (file) => (await readdir(file)).sort())),
    exists: async (path) =>
      isQuick(path)
        ? await plain.exists(path)
        : (await orAbsent(at(path, 'follow', 'look at', async (file) => await lstat(file)))) !== undefined,
    write: (path, text) => at(path, 'follow', 'write', (file) => writeOnce(file, path, text)),
    replace: (path, content) => at(path, 'follow', 'replace', (file) => replaceWhole(file, content)),
    append: (path, text) => at(path, 'follow', 'append to', (file) => appendSynced(file, text)),
    makeFolder: (path) => at(path, 'follow', 'create the folder', makeFolders),
    remove: (path) =>
      at(path, 'keep', 'remove', async (file) => {
        await rm(file, { recursive: true, force: true });
        await orAbsent(syncFolder(dirname(file)));
      }),
    async lock(path) {
      const file = root.locate(path, 'follow');
      await at(path, 'follow', 'lock', async () => await makeFolders(dirname(file)));
      const { takeLock } = await import('./lock.ts');
      return await takeLock(file, path);
    },
    kernelLog: () => at('/dev/kmsg', 'follow', 'read', async (file) => readKmsg(file, '/dev/kmsg')),
  };
}

/** How often a device that is claimed is asked again, and after how many milliseconds: udev and mdadm claim one for a moment. */
const CLAIM_TRIES = 3;
const CLAIM_PAUSE = 30;

let turn: Promise<unknown> = Promise.resolve();

/** One after the other: two questions about one disk would be each other's exclusive user. */
async function inTurn<T>(run: () => Promise<T>): Promise<T> {
  const result = turn.then(run);
  turn = result.catch(() => undefined);
  return await result;
}

/**
 * Opens a block device exclusively and closes it. O_EXCL without O_CREAT is undefined for other files, but open(2) defines it
 * for block devices from Linux 2.6 on: the call fails with EBUSY when the device is in use by the system. A mounted file
 * system, md, dm and ZFS claim their devices in this way; a claim on a partition counts for its disk and the other way
 * round (Linux block/bdev.c, bd_may_claim). O_NONBLOCK keeps a drive from waiting for a medium. O_CLOEXEC libuv adds.
 */
async function askClaim(path: string): Promise<boolean | undefined> {
  for (let left = CLAIM_TRIES; ; left--) {
    try {
      if (!(await stat(path)).isBlockDevice()) return undefined;
      const handle = await open(path, constants.O_RDONLY | constants.O_EXCL | constants.O_NONBLOCK);
      await handle.close();
      return false;
    } catch (error) {
      const errno = errnoOf(error);
      if (isAbsent(error) || errno === 'EACCES' || errno === 'EPERM') return undefined;
      if (errno !== 'EBUSY') throw hostError(path, 'ask for exclusive users of', error);
      if (left <= 1) return true;
      await new Promise((resolve) => setTimeout(resolve, CLAIM_PAUSE));
    }
  }
}

async function withLimit<T>(reading: Promise<T>, path: string): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const limit = new Promise<never>((_, reject) => {
    // Many readings share few threads: on a starved machine one is late that the kernel was never asked for.
    let patience = PATIENCE;
    const late = (): void => {
      if (!anyThreadBlocked() && patience-- > 0) timer = setTimeout(late, READ_LIMIT);
      else reject(new HostError(path, `the kernel has not answered this read for ${READ_LIMIT} ms`, 'ETIMEDOUT'));
    };
    timer = setTimeout(late, READ_LIMIT);
  });
  try {
    return await Promise.race([reading, limit]);
  } finally {
    clearTimeout(timer);
  }
}

async function using<T>(file: string, flags: number, run: (handle: FileHandle) => Promise<T>): Promise<T> {
  const handle = await open(file, flags, 0o600);
  try {
    return await run(handle);
  } finally {
    await handle.close();
  }
}

/** Attributes say 4096 and files of procfs say 0: only reading to the end tells the size. */
async function readWhole(file: string, path: string): Promise<Uint8Array> {
  return await using(file, constants.O_RDONLY, async (handle) => {
    const { size } = await handle.stat();
    const pieces: Uint8Array[] = [];
    let total = 0;
    for (;;) {
      const piece = Buffer.allocUnsafe(Math.min(Math.max(size - total + 1, 4096), MAX_FILE));
      const { bytesRead } = await handle.read(piece, 0, piece.length, null);
      if (bytesRead === 0) return pieces.length === 1 ? (pieces[0] as Uint8Array) : Buffer.concat(pieces, total);
      total += bytesRead;
      if (total > MAX_FILE) throw new HostError(path, `longer than ${MAX_FILE} bytes`, 'EFBIG');
      pieces.push(piece.subarray(0, bytesRead));
    }
  });
}

/**
 * A block device is read with O_DIRECT: what another path wrote to the medium (the guest's, or the physical function's) is not in
 * this machine's page cache. Without native calls there is no aligned memory, and the page cache answers.
 */
async function readPart(file: string, offset: number, length: number, sys: () => Promise<Sys>): Promise<Uint8Array> {
  const plain = await using(file, constants.O_RDONLY | constants.O_NONBLOCK, async (handle) =>
    (await handle.stat()).isBlockDevice() ? undefined : await readRange(handle, Buffer.alloc(length), offset),
  );
  if (plain !== undefined) return plain;
  const native = await sys().catch((error: unknown) => {
    if (error instanceof HostError) return undefined;
    throw error;
  });
  if (native === undefined)
    return await using(file, constants.O_RDONLY, async (handle) => await readRange(handle, Buffer.alloc(length), offset));
  return await using(file, constants.O_RDONLY | constants.O_DIRECT, async (handle) => {
    const skip = offset % ALIGNMENT;
    const memory = native.anonymous(Math.ceil((skip + length) / ALIGNMENT) * ALIGNMENT || ALIGNMENT);
    try {
      const bytes = await memory.lend(async (into) => (await readRange(handle, into, offset - skip)).length);
      return memory.read(skip, Math.max(0, Math.min(length, bytes - skip)));
    } finally {
      memory.close();
    }
  });
}

async function readRange(handle: FileHandle, into: Uint8Array, offset: number): Promise<Uint8Array> {
  let done = 0;
  while (done < into.length) {
    const { bytesRead } = await handle.read(into, done, into.length - done, offset + done);
    if (bytesRead === 0) break;
    done += bytesRead;
  }
  return into.subarray(0, done);
}

/** An attribute takes one write(2) as one request: a second one for the rest would be a request of its own. */
async function writeOnce(file: string, path: string, text: string): Promise<void> {
  await using(file, constants.O_WRONLY | constants.O_TRUNC, async (handle) => {
    const bytes = Buffer.from(text);
    const { bytesWritten } = await handle.write(bytes, 0, bytes.length, null);
    if (bytesWritten !== bytes.length)
      throw new HostError(path, `only ${bytesWritten} of ${bytes.length} bytes were taken`, 'EIO');
  });
}

/** A name is on disk when its folder is. File systems that cannot sync a folder say EINVAL, and have nothing better. */
async function syncFolder(folder: string): Promise<void> {
  await using(folder, constants.O_RDONLY | constants.O_DIRECTORY, async (handle) => {
    await handle.sync().catch((error: unknown) => {
      if (errnoOf(error) !== 'EINVAL') throw error;
    });
  });
}

async function makeFolders(folder: string): Promise<void> {
  const first = await mkdir(folder, { recursive: true, mode: 0o700 });
  if (first === undefined) return;
  for (let made = folder; ; made = dirname(made)) {
    await syncFolder(dirname(made));
    if (made === first || made === dirname(made)) return;
  }
}

async function replaceWhole(file: string, content: string | Uint8Array): Promise<void> {
  await makeFolders(dirname(file));
  const draft = join(dirname(file), `.${basename(file)}.${process.pid}`);
  try {
    await rm(draft, { force: true });
    await using(draft, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL, async (handle) => {
      await handle.writeFile(content);
      await handle.sync();
    });
    await rename(draft, file);
  } catch (error) {
    await rm(draft, { force: true });
    throw error;
  }
  await syncFolder(dirname(file));
}

async function appendSynced(file: string, text: string): Promise<void> {
  await makeFolders(dirname(file));
  const fresh = (await lstat(file).catch(() => undefined)) === undefined;
  await using(file, constants.O_WRONLY | constants.O_APPEND | constants.O_CREAT, async (handle) => {
    await handle.writeFile(text);
    await handle.sync();
  });
  if (fresh) await syncFolder(dirname(file));
}
