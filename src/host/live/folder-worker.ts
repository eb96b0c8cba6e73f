// The other thread of `folderReading`: a program of its own.
import { parentPort, workerData } from 'node:worker_threads';
import { FolderReader } from './folder-reader.ts';
import { batches, type Work } from './folders.ts';
import { rootAt } from './root.ts';

const work = workerData as Work;
for (const batch of batches(work, new FolderReader(rootAt(work.root), work.ask))) {
  const bytes = batch.contents.flatMap((one) => (one?.bytes === undefined ? [] : [one.bytes.buffer as ArrayBuffer]));
  parentPort?.postMessage(batch, [...new Set(bytes)]);
}
// Its end takes a while, for which nobody has to wait.
parentPort?.postMessage('done');
