import type { AddressSpace } from '../address-space.ts';
import { FirstStageTable } from '../formats-paging.ts';
import { belowPage, keyPasid } from '../iotlb-keys.ts';
import { fieldWords } from '../masks.ts';
import { tablesHash, tablesKey } from '../paging-structure-cache.ts';
import { SNOOP } from '../request.ts';
import * as layout from './layout.ts';

const A = fieldWords(FirstStageTable, 'A')[0]!;
const EA = fieldWords(FirstStageTable, 'EA')[0]!;

/** Writes what a kernel has to know of an address space, from a word on. */
export function tell(words: Int32Array, at: number, space: AddressSpace): void {
  const { sid, requestPasid, type, did } = space;
  words[at + layout.SPACE_KEY_PASID] = keyPasid(sid, requestPasid);
  words[at + layout.SPACE_DID_PGTT] = did | (type << 16);
  words[at + layout.SPACE_EFFECTIVE_PASID] = space.pasid;
  words[at + layout.SPACE_BELOW_PAGE] = belowPage(sid, 0);
  // Of a second stage it knows R and W, not IR and IW.
  words[at + layout.SPACE_TYPE] = space.usual && !space.SSIRWE ? type : 0;
  words[at + layout.SPACE_SNOOP] = space.PGSNP ? SNOOP : 0;
  const ssKey = tablesKey(2, space.ssNumber);
  const fsKey = tablesKey(2, space.fsNumber);
  words[at + layout.SPACE_SS_KEY] = ssKey;
  words[at + layout.SPACE_SS_HASH] = tablesHash(ssKey);
  words[at + layout.SPACE_SS_RESERVED + 1] = space.ssReservedHi;
  words[at + layout.SPACE_FS_KEY] = fsKey;
  words[at + layout.SPACE_FS_HASH] = tablesHash(fsKey);
  words[at + layout.SPACE_FS_FLAGS] = A | (space.EAFE ? EA : 0);
}
