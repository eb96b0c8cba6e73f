import type { Host } from '../host/host.ts';
import { replaying } from '../host/replay.ts';
import { UsageError } from './exit.ts';
import { readSnapshotFile } from './snapshot-file.ts';

/**
 * The host behind `--host`: a snapshot.
 * @param state folder of journals here, of which a record knows nothing
 * @throws UsageError when the file is none
 */
export async function recordedHost(given: string, state: string): Promise<Host> {
  if (given.startsWith('lspci:'))
    throw new UsageError(
      `${given}: a listing of lspci tells too little for this verb`,
      "'sluice groups --host lspci:FILE' and 'sluice decode config FILE' read it.",
    );
  return replaying(await readSnapshotFile(given), `snapshot:${given}`, state);
}
