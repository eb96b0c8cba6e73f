import type { AddressSpace } from '../address-space.ts';
import { FirstStageTable } from '../formats-paging.ts';
import { belowPage, keyPasid } from '../iotlb-keys.ts';
import { fieldWords } from '../masks.ts';
import { tablesHash, tablesKey } from '../paging-structure-cache.ts';
import { SNOOP } from '../request.ts';
import * as layout from './layout.ts';

const A = fieldWords(FirstStageTable, 'A')[0]!;
const EA = fieldWords(FirstStageTable, 'EA')[0]!;

/** Bits 38:32 of an address, as an upper half: what is held for the root table of a second stage of 4 levels does not have them. */
const IN_ROOT_ENTRY = 0x7f;

/** Whether all that a kernel does not look at is as it takes it for: IR and IW do not count, and no width ends below 39 bits. */
function mayWalk({ usual, SSIRWE, ssLevels, ssBeyond }: AddressSpace): boolean {
  return usual === 1 && SSIRWE === 0 && (ssLevels <= 3 || (ssBeyond & IN_ROOT_ENTRY) === 0);
}

/** Writes what a kernel has to know of an address space, from a word on. */
export function tell(words: Int32Array, at: number, space: AddressSpace): void {
  const { sid, requestPasid, type, did } = space;
  words[at + layout.SPACE_KEY_PASID] = keyPasid(sid, requestPasid);
  words[at + layout.SPACE_DID_PGTT] = did | (type << 16);
  words[at + layout.SPACE_EFFECTIVE_PASID] = space.pasid;
  words[at + layout.SPACE_BELOW_PAGE] = belowPage(sid, 0);
  words[at + layout.SPACE_TYPE] = mayWalk(space) ? type : 0;
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
