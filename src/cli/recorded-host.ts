import type { Host } from '../host/host.ts';
import { recordOfListing } from '../host/listed.ts';
import { replaying } from '../host/replay.ts';
import { readHexDump, readLspciText } from '../pci/index.ts';
import { UsageError } from './exit.ts';
import { readSnapshotFile } from './snapshot-file.ts';

/**
 * The host of a snapshot.
 * @param state folder of journals here, of which a record knows nothing
 * @throws UsageError when the file is none
 */
export async function recordedHost(file: string, state: string): Promise<Host> {
  return replaying(await readSnapshotFile(file), `snapshot:${file}`, state);
}

/** What a posted listing tells, as a host. @throws UsageError when no function is in it */
export function recordedListing({ name, text }: { name: string; text: string }, state: string): Host {
  const record = recordOfListing(readLspciText(text), readHexDump(text), new Date().toISOString());
  if (Object.keys(record.places).length < 2)
    throw new UsageError(`${name}: no function is in this text`, 'A listing is what lspci -vvnn or lspci -xxxx prints.');
  return replaying(record, `lspci:${name}`, state, 'the listing does not say');
}
