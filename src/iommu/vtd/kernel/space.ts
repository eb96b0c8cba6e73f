import type { AddressSpace } from '../address-space.ts';
import { FirstStageTable } from '../formats-paging.ts';
import { belowPage, keyPasid, spaceHash } from '../iotlb-keys.ts';
import { fieldWords } from '../masks.ts';
import { tablesHash, tablesKey } from '../paging-structure-cache.ts';
import { SNOOP } from '../request.ts';
import * as layout from './layout.ts';

const A = fieldWords(FirstStageTable, 'A')[0]!;
const EA = fieldWords(FirstStageTable, 'EA')[0]!;

/** Writes what a kernel has to know of an address space, from a word on. */
export function tell(words: Int32Array, at: number, space: AddressSpace): void {
  const { sid, requestPasid, type, did } = space;
  words[at + layout.SPACE_SID] = sid;
  words[at + layout.SPACE_PASID] = requestPasid;
  words[at + layout.SPACE_MODE] = space.mode;
  words[at + layout.SPACE_TYPE] = space.usual ? type : 0;
  words[at + layout.SPACE_BELOW_PAGE] = belowPage(sid, 0);
  words[at + layout.SPACE_KEY_PASID] = keyPasid(sid, requestPasid);
  words[at + layout.SPACE_HASH] = spaceHash(keyPasid(sid, requestPasid));
  words[at + layout.SPACE_DID_PGTT] = did | (type << 16);
  words[at + layout.SPACE_EFFECTIVE_PASID] = space.pasid;
  const ssKey = tablesKey(2, space.ssNumber);
  const fsKey = tablesKey(2, space.fsNumber);
  words[at + layout.SPACE_SS_KEY] = ssKey;
  words[at + layout.SPACE_SS_HASH] = tablesHash(ssKey);
  words[at + layout.SPACE_SS_BEYOND] = space.ssBeyond;
  words[at + layout.SPACE_SS_RESERVED_HI] = space.ssReservedHi;
  words[at + layout.SPACE_SSIRWE] = space.SSIRWE;
  words[at + layout.SPACE_SNOOP] = space.PGSNP ? SNOOP : 0;
  words[at + layout.SPACE_FS_KEY] = fsKey;
  words[at + layout.SPACE_FS_HASH] = tablesHash(fsKey);
  words[at + layout.SPACE_FS_SIGN] = space.fsLevels === 5 ? 24 : 15;
  words[at + layout.SPACE_FS_FLAGS] = A | (space.EAFE ? EA : 0);
}
