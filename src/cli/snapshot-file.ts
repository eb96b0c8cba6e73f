import { gunzipSync, gzipSync } from 'node:zlib';
import type { Snapshot } from '../host/snapshot.ts';
import { UsageError } from './exit.ts';
import { readInput } from './input.ts';

/** Of the JSON text. That of a machine with 8192 functions has less than a third of it. */
const MOST = 128 * 1024 * 1024;

/** A line of lspci that names a function. */
const LISTED = /^(?:[0-9a-f]{4,8}:)?[0-9a-f]{2}:[01][0-9a-f]\.[0-7] \S/im;

/** The bytes of the file: the same record gives the same bytes. */
export function packSnapshot(snapshot: Snapshot): Uint8Array {
  return gzipSync(JSON.stringify(snapshot));
}

/**
 * Reads a record that somebody handed over.
 * @throws UsageError when it is none, naming the place in it
 */
export async function readSnapshotFile(name: string): Promise<Snapshot> {
  return await unpackSnapshot(await readInput(name), name);
}

/** The same from bytes: gzip, or the JSON text itself. @throws UsageError */
export async function unpackSnapshot(bytes: Uint8Array, name: string): Promise<Snapshot> {
  const text = unzip(bytes, name);
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch (error) {
    throw new UsageError(
      `${name} is no snapshot: its text is no JSON: ${(error as Error).message.split('\n')[0]?.slice(0, 200)}`,
      LISTED.test(text.slice(0, 4096)) ? `If it is what lspci printed, write --host lspci:${name}` : undefined,
    );
  }
  const schema = (parsed as { schema?: unknown } | null)?.schema;
  if (schema !== 'sluice/snapshot/1')
    throw new UsageError(
      `${name}: schema is ${JSON.stringify(schema)?.slice(0, 100) ?? 'absent'}, expected "sluice/snapshot/1"`,
      typeof schema === 'string' && schema.startsWith('sluice/snapshot/')
        ? 'Another version of Sluice took it: read it with that one.'
        : "A snapshot is what 'sluice snapshot' writes.",
    );
  const { snapshotFile } = await import('./snapshot-report.ts');
  const checked = snapshotFile.safeParse(parsed);
  if (checked.success) return checked.data;
  const issue = deepest(checked.error.issues[0]);
  const place = issue.path.map(String).join(' > ').slice(0, 300);
  throw new UsageError(
    `${name}: ${place || 'the record'} is not as it should be: ${wordsOf(issue).slice(0, 200)}`,
    'The file is damaged.',
  );
}

interface Issue {
  path: readonly PropertyKey[];
  code?: string;
  message: string;
  /** Of a value of the wrong type. */
  expected?: string;
  /** Members that are too many. */
  keys?: readonly string[];
  errors?: readonly (readonly Issue[])[];
}

/** Of a choice, what was wrong in the alternative that went furthest. */
function deepest(issue: Issue | undefined): Issue {
  if (issue === undefined) return { path: [], message: 'is no snapshot' };
  const inner = (issue.errors ?? []).flat().map(deepest);
  const best = inner.toSorted((a, b) => b.path.length - a.path.length)[0];
  return best === undefined ? issue : { ...best, path: [...issue.path, ...best.path] };
}

function wordsOf({ expected, keys, message }: Issue): string {
  if (expected !== undefined) return `expected ${expected}`;
  return keys === undefined ? message : `${keys.join(', ')} is unknown here`;
}

function unzip(bytes: Uint8Array, name: string): string {
  const tooLong = (): UsageError => new UsageError(`${name} is no snapshot: it unpacks to more than ${MOST} bytes`);
  if (bytes[0] !== 0x1f || bytes[1] !== 0x8b) {
    if (bytes.length > MOST) throw tooLong();
    return new TextDecoder().decode(bytes);
  }
  try {
    return gunzipSync(bytes, { maxOutputLength: MOST }).toString('utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ERR_BUFFER_TOO_LARGE') throw tooLong();
    throw new UsageError(`${name} is no snapshot: its gzip data are damaged: ${(error as Error).message}`);
  }
}
