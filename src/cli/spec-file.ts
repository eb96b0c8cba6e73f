import { type FileHandle, open } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { formatSpecErrors, parseSpec, type VmSpec } from '../plan/spec.ts';
import { UsageError } from './exit.ts';

/** A little more than parseSpec takes, so that it can say what is wrong with more. */
const MOST_BYTES = 4 * 2 ** 20;

/**
 * Reads a VM spec. Its files become absolute: relative ones start at the folder of the spec.
 * @param path as the user wrote it, which is also how errors name it
 * @throws UsageError with a line for each mistake
 */
export async function readSpecFile(path: string): Promise<VmSpec> {
  const parsed = parseSpec(await readSome(path), path);
  if ('spec' in parsed) return resolvePaths(parsed.spec, dirname(resolve(path)));
  throw new UsageError(
    `the VM spec has ${parsed.errors.length === 1 ? 'a mistake' : 'mistakes'}:\n${formatSpecErrors(parsed.errors)}`,
  );
}

async function readSome(path: string): Promise<string> {
  let file: FileHandle | undefined;
  try {
    file = await open(path, 'r');
    const buffer = Buffer.alloc(MOST_BYTES);
    let length = 0;
    while (length < MOST_BYTES) {
      const { bytesRead } = await file.read(buffer, length, MOST_BYTES - length, null);
      if (bytesRead === 0) break;
      length += bytesRead;
    }
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(buffer.subarray(0, length));
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === undefined) throw error;
    const why = {
      ENOENT: 'there is no such file',
      EISDIR: 'that is a folder',
      EACCES: 'it may not be read',
      ERR_ENCODING_INVALID_ENCODED_DATA: 'it is not UTF-8 text',
    }[code];
    throw new UsageError(`${path}: ${why ?? code}`);
  } finally {
    await file?.close();
  }
}

function resolvePaths(spec: VmSpec, folder: string): VmSpec {
  const { disk, kernel, initrd } = spec;
  return {
    ...spec,
    ...(disk !== undefined && { disk: resolve(folder, disk) }),
    ...(kernel !== undefined && { kernel: resolve(folder, kernel) }),
    ...(initrd !== undefined && { initrd: resolve(folder, initrd) }),
    // The files of a nested guest are in its host, which is a guest: nothing here knows them.
    guests: spec.guests,
  };
}
