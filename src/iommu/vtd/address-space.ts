import type { Memory } from '../../memory/memory.ts';
import { keyPasid, spaceHash } from './iotlb-keys.ts';
import * as layout from './kernel/layout.ts';
import { tell } from './kernel/space.ts';

/** Types of translation, as PGTT has them. Legacy mode has the second and the last. */
export const FIRST_STAGE = 1;
export const SECOND_STAGE = 2;
export const NESTED = 3;
export const PASS_THROUGH = 4;

/**
 * What is walked for requests of one requester, with one PASID or without: all that its context entry and PASID-table entry
 * say, decoded. Flags are 0 or 1.
 */
export class AddressSpace {
  type = 0;
  did = 0;
  /** The PASID whose tables these are: RID_PASID for requests without one. */
  pasid = 0;
  /** Whether FPD is set in one of the entries: 0, or not. */
  FPD = 0;
  /** Legacy mode: whether TT allows translation requests and translated ones. */
  deviceTlb = 0;
  /** Whether requests without PASID are privileged; whether privileged ones are let through. */
  RID_PRIV = 0;
  SRE = 0;
  PGSNP = 0;

  /** Whether nothing but page tables judges requests that only ask for rights, and none has a flag to set but in the first stage. */
  usual = 0;

  /** Root of the second stage, its levels (0 for none), and the bits of an upper half that are beyond its width. */
  ssLo = 0;
  ssHi = 0;
  ssLevels = 0;
  ssBeyond = 0;
  /** IR and IW count in place of R and W; the bits of an upper half of an entry that are reserved for it. */
  SSIRWE = 0;
  ssReservedHi = 0;
  SSADE = 0;
  /** Root of the first stage, a guest-physical address when it is nested, and its levels (0 for none). */
  fsLo = 0;
  fsHi = 0;
  fsLevels = 0;
  nested = 0;
  EAFE = 0;
  WPE = 0;
  /** Whether page walks snoop, so that they can set flags. */
  snooped = 0;

  /** The host permission table: its root, HPTSZ and HPTDID. */
  hptLo = 0;
  hptHi = 0;
  HPTSZ = 0;
  HPTDID = 0;

  /** By these the paging-structure caches know the tables: see `Caches.number`. */
  ssNumber = 0;
  fsNumber = 0;

  /** What the address space was found by, and when. */
  sid = -1;
  requestPasid = -1;
  since = -1;
}

/**
 * Address spaces that are decoded, by requester and PASID. Each is made of entries that the context cache and the PASID cache
 * hold, and is forgotten with any change of these or of RTADDR_REG: it is no cache of its own, and no part of a snapshot.
 */
export class AddressSpaces {
  private readonly spaces: readonly AddressSpace[] = Array.from({ length: layout.SPACES }, () => new AddressSpace());
  private changes = 0;
  /** What a kernel knows of each, as in layout.ts; undefined where there is none. */
  readonly words: Int32Array | undefined;

  /** @param memory that a kernel reads */
  constructor(memory?: Memory) {
    this.words = memory?.room(layout.SPACES << layout.SPACE_STRIDE_BITS);
  }

  /** The place of an address space, whatever is there. @param pasid of the request, -1 for none */
  place(sid: number, pasid: number): AddressSpace {
    return this.spaces[indexOf(sid, pasid)]!;
  }

  /** Whether that place has this address space. */
  has(space: AddressSpace, sid: number, pasid: number): boolean {
    return space.sid === sid && space.requestPasid === pasid && space.since === this.changes;
  }

  /** Holds nothing there, so that it can be written to. */
  release(space: AddressSpace): void {
    if (this.words && space.sid >= 0) this.words[wordsOf(space) + layout.SPACE_TYPE] = 0;
    space.sid = -1;
  }

  /** Holds what was decoded there. */
  hold(space: AddressSpace, sid: number, pasid: number): void {
    space.sid = sid;
    space.requestPasid = pasid;
    space.since = this.changes;
    if (this.words) tell(this.words, wordsOf(space), space);
  }

  forget(): void {
    this.changes++;
    this.words?.fill(0);
  }
}

function indexOf(sid: number, pasid: number): number {
  return spaceHash(keyPasid(sid, pasid)) & (layout.SPACES - 1);
}

function wordsOf({ sid, requestPasid }: AddressSpace): number {
  return indexOf(sid, requestPasid) << layout.SPACE_STRIDE_BITS;
}
