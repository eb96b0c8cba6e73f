import { availableParallelism } from 'node:os';
import { setImmediate as turn } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import type { FolderAsk, FolderBatch } from '../folder.ts';
import { NodeCalls } from './folder-calls.ts';
import { libcCalls } from './folder-libc.ts';
import { FolderReader } from './folder-reader.ts';
import type { Root } from './root.ts';

/** Folders of one batch. */
const FEW = 64;
/** A thread takes 50 ms to start, and the C library 10 ms to be reached: for fewer folders neither is worth it. */
const MANY = 1000;

/** What the other thread is told. It takes batches of the work as this thread does, until none is left. */
export interface Work {
  root: string;
  paths: readonly string[];
  ask: FolderAsk;
  /** One number, which both threads count up: the next batch that nobody has. */
  next: Int32Array<SharedArrayBuffer>;
}

/** Takes and reads batches until none is left. */
export function* batches({ paths, next }: Work, reader: FolderReader): Generator<FolderBatch> {
  for (;;) {
    const first = Atomics.add(next, 0, 1) * FEW;
    if (first >= paths.length) return;
    yield { first, contents: paths.slice(first, first + FEW).map((path) => reader.read(path)) };
  }
}

/** What reads many folders soonest. */
export async function quickReader(root: Root, ask: FolderAsk): Promise<FolderReader> {
  return new FolderReader(root, ask, (await libcCalls()) ?? new NodeCalls());
}

/**
 * `HostFiles.readFolders` of a tree. Where there are two processors and much to read, another thread begins at once, and this one
 * takes part as soon as the answers are asked for.
 */
export function folderReading(
  root: Root,
  many: number = MANY,
): (paths: readonly string[], ask: FolderAsk) => AsyncIterable<FolderBatch> {
  let other: Theirs | undefined;
  return (paths, ask) => {
    const work: Work = { root: root.folder, paths, ask, next: new Int32Array(new SharedArrayBuffer(4)) };
    if (paths.length < many) return together(work, async () => new FolderReader(root, ask, new NodeCalls()), undefined);
    const reader = () => quickReader(root, ask);
    // One beside this thread, whatever is read at the same time.
    if (other !== undefined || availableParallelism() < 2) return together(work, reader, undefined);
    other = startThread(work);
    void other.done.then(() => {
      other = undefined;
    });
    return together(work, reader, other);
  };
}

/** What another thread has read so far, and when it takes no more. */
interface Theirs {
  arrived: FolderBatch[];
  done: Promise<void>;
}

async function* together(
  work: Work,
  reader: () => Promise<FolderReader>,
  theirs: Theirs | undefined,
): AsyncGenerator<FolderBatch> {
  for (const own of batches(work, await reader())) {
    yield own;
    if (theirs === undefined) continue;
    await turn();
    yield* theirs.arrived.splice(0);
  }
  // What was taken there and does not come is left out, as is what is odd: both are then asked for in detail.
  await theirs?.done;
  yield* theirs?.arrived ?? [];
}

/** Starts a thread that reads as well. It ends when nothing is left to take; when it fails, less has arrived. */
function startThread(work: Work): Theirs {
  const worker = new Worker(new URL('./folder-worker.js', import.meta.url), { workerData: work });
  const arrived: FolderBatch[] = [];
  const done = new Promise<void>((resolve) => {
    worker.on('message', (batch: FolderBatch | 'done') => {
      if (batch === 'done') resolve();
      else arrived.push(batch);
    });
    worker.on('error', () => resolve());
    worker.on('exit', () => resolve());
  });
  return { arrived, done };
}
