import { open } from 'node:fs/promises';
import { UsageError } from './exit.ts';

/** More than any table, log or listing that a person hands over. */
const MOST = 256 * 1024 * 1024;

/**
 * The bytes of a file that the user named; `-` is standard input.
 * @throws UsageError when it cannot be read, or is longer than 256 MiB
 */
export async function readInput(name: string): Promise<Uint8Array> {
  try {
    if (name === '-') return await collect(process.stdin, 'standard input');
    const file = await open(name, 'r');
    try {
      return await collect(file.createReadStream({ autoClose: false }), name);
    } finally {
      await file.close();
    }
  } catch (error) {
    throw unreadable(name, error);
  }
}

/**
 * The same as text, piece by piece: for what may be longer than memory. Bytes that are no UTF-8 become U+FFFD.
 * @throws UsageError when it cannot be read
 */
export async function* readPieces(name: string): AsyncGenerator<string> {
  const decoder = new TextDecoder();
  try {
    if (name === '-') {
      for await (const piece of process.stdin) yield decoder.decode(piece as Uint8Array, { stream: true });
    } else {
      const file = await open(name, 'r');
      try {
        for await (const piece of file.createReadStream({ autoClose: false }))
          yield decoder.decode(piece as Uint8Array, { stream: true });
      } finally {
        await file.close();
      }
    }
  } catch (error) {
    throw unreadable(name, error);
  }
  yield decoder.decode();
}

/** What the user can do about a file that did not open or read. */
function unreadable(name: string, error: unknown): UsageError {
  if (error instanceof UsageError) return error;
  const { code, message } = error as NodeJS.ErrnoException;
  if (code === 'ENOENT') return new UsageError(`${name}: there is no such file`);
  if (code === 'EISDIR') return new UsageError(`${name} is a folder, not a file`);
  if (code === 'EACCES') return new UsageError(`${name} may not be read by this user`, 'Files of /sys often need root.');
  return new UsageError(`${name} cannot be read: ${message}`);
}

/** The same as text. Bytes that are no UTF-8 become U+FFFD. */
export async function readInputText(name: string): Promise<string> {
  return new TextDecoder().decode(await readInput(name));
}

async function collect(stream: AsyncIterable<Uint8Array | string>, name: string): Promise<Uint8Array> {
  const pieces: Uint8Array[] = [];
  let total = 0;
  for await (const piece of stream) {
    const bytes = typeof piece === 'string' ? Buffer.from(piece) : piece;
    total += bytes.length;
    if (total > MOST) throw new UsageError(`${name} is longer than ${MOST} bytes`);
    pieces.push(bytes);
  }
  return Buffer.concat(pieces, total);
}
