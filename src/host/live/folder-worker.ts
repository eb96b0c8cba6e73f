// The other thread of `folderReading`: a program of its own.
import { parentPort } from 'node:worker_threads';
import { FolderReader } from './folder-reader.ts';
import { type Answer, batches, type Work } from './folders.ts';
import { rootAt } from './root.ts';

parentPort?.on('message', (work: Work) => {
  const answer = (what: Answer, moved: ArrayBuffer[] = []): void => parentPort?.postMessage(what, moved);
  for (const batch of batches(work, new FolderReader(rootAt(work.root), work.ask))) {
    const bytes = batch.contents.flatMap((one) => (one?.bytes === undefined ? [] : [one.bytes.buffer as ArrayBuffer]));
    answer(batch, [...new Set(bytes)]);
  }
  answer('done');
});
