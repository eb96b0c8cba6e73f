import { availableParallelism } from 'node:os';
import { setImmediate as turn } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import type { FolderAsk, FolderBatch } from '../folder.ts';
import { FolderReader } from './folder-reader.ts';
import type { Root } from './root.ts';

/** Folders of one batch. */
const FEW = 128;
/** A thread takes 50 ms to start: for fewer folders one is enough. */
const MANY = 1000;
/** Milliseconds for which the other thread waits for more work. */
const PATIENCE = 1000;

/** What the other thread is told. It takes batches of the work as this thread does, until none is left. */
export interface Work {
  root: string;
  paths: readonly string[];
  ask: FolderAsk;
  /** One number, which both threads count up: the next batch that nobody has. */
  next: Int32Array<SharedArrayBuffer>;
}

/** What it answers: a batch that it took, and at last that it takes no more. */
export type Answer = FolderBatch | 'done';

/** Takes and reads batches until none is left. */
export function* batches({ paths, next }: Work, reader: FolderReader): Generator<FolderBatch> {
  for (;;) {
    const first = Atomics.add(next, 0, 1) * FEW;
    if (first >= paths.length) return;
    reader.startAnew();
    yield { first, contents: paths.slice(first, first + FEW).map((path) => reader.read(path)) };
  }
}

/**
 * `HostFiles.readFolders` of a tree. Where there are two processors and much to read, another thread begins at once, and this one
 * takes part as soon as the answers are asked for.
 */
export function folderReading(
  root: Root,
  many: number = MANY,
): (paths: readonly string[], ask: FolderAsk) => AsyncIterable<FolderBatch> {
  const other = new OtherThread();
  return (paths, ask) => {
    const work: Work = { root: root.folder, paths, ask, next: new Int32Array(new SharedArrayBuffer(4)) };
    const isMuch = paths.length >= many && availableParallelism() > 1;
    return together(work, new FolderReader(root, ask), isMuch ? other.start(work) : undefined);
  };
}

/** What another thread has read so far, and when it takes no more. */
interface Theirs {
  arrived: FolderBatch[];
  done: Promise<void>;
}

async function* together(work: Work, reader: FolderReader, theirs: Theirs | undefined): AsyncGenerator<FolderBatch> {
  for (const own of batches(work, reader)) {
    yield own;
    if (theirs === undefined) continue;
    await turn();
    yield* theirs.arrived.splice(0);
  }
  // What was taken there and does not come is left out, as is what is odd: both are then asked for in detail.
  await theirs?.done;
  yield* theirs?.arrived ?? [];
}

/** A thread that reads as well, for as long as there is something to read. */
class OtherThread {
  #worker: Worker | undefined;
  #busy = false;
  #idle: NodeJS.Timeout | undefined;

  /** Undefined when it has work. */
  start(work: Work): Theirs | undefined {
    if (this.#busy) return undefined;
    this.#busy = true;
    clearTimeout(this.#idle);
    const worker = this.#worker ?? new Worker(new URL('./folder-worker.js', import.meta.url));
    this.#worker = worker;
    worker.ref();
    const arrived: FolderBatch[] = [];
    const done = new Promise<void>((resolve) => {
      const finish = (): void => {
        this.#busy = false;
        worker.off('message', take).off('error', lose).off('exit', lose);
        resolve();
      };
      const take = (answer: Answer): void => {
        if (answer !== 'done') return void arrived.push(answer);
        worker.unref();
        this.#idle = setTimeout(() => void this.#stop(), PATIENCE).unref();
        finish();
      };
      const lose = (): void => {
        this.#worker = undefined;
        finish();
      };
      worker.on('message', take).on('error', lose).on('exit', lose);
    });
    worker.postMessage(work);
    return { arrived, done };
  }

  async #stop(): Promise<void> {
    const worker = this.#worker;
    this.#worker = undefined;
    await worker?.terminate();
  }
}
