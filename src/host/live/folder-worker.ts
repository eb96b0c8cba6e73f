// The other thread of `folderReading`: a program of its own.
import { parentPort, workerData } from 'node:worker_threads';
import { batches, quickReader, type Work } from './folders.ts';
import { rootAt } from './root.ts';

const work = workerData as Work;
const reader = await quickReader(rootAt(work.root), work.ask);
for (const batch of batches(work, reader)) {
  const bytes = batch.contents.flatMap((one) => (one?.bytes === undefined ? [] : [one.bytes.buffer as ArrayBuffer]));
  parentPort?.postMessage(batch, [...new Set(bytes)]);
  reader.startAnew();
}
// Its end takes a while, for which nobody has to wait.
parentPort?.postMessage('done');
