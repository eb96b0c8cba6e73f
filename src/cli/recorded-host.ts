import type { Host } from '../host/host.ts';
import { recordOfListing } from '../host/listed.ts';
import { replaying } from '../host/replay.ts';
import { readHexDump, readLspciText } from '../pci/index.ts';
import { UsageError } from './exit.ts';
import { readInputText } from './input.ts';
import { readSnapshotFile } from './snapshot-file.ts';

/** What stands before the file of a posted listing. */
const LISTING = 'lspci:';

/**
 * The host behind `--host`: a snapshot, or what a posted listing tells.
 * @param state folder of journals here, of which a record knows nothing
 * @throws UsageError when the file is none
 */
export async function recordedHost(given: string, state: string): Promise<Host> {
  if (given.startsWith(LISTING)) {
    const file = given.slice(LISTING.length);
    const text = await readInputText(file);
    const record = recordOfListing(readLspciText(text), readHexDump(text), new Date().toISOString());
    if (Object.keys(record.places).length < 2)
      throw new UsageError(`${file}: no function is in this text`, 'A listing is what lspci -vvnn or lspci -xxxx prints.');
    return replaying(record, given, state, 'the listing does not say');
  }
  return replaying(await readSnapshotFile(given), `snapshot:${given}`, state);
}
