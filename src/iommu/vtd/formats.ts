import { bit, entry, field, frame, ignored, reserved } from '../../bits/entry.ts';

// Tables that lead from a requester to its page tables. Bits of addresses from the host address width on are reserved as
// well; so are fields of features that a unit does not have. See abilities.ts.

/** Legacy mode: the context table of one bus. */
export const RootEntry = entry(
  'Root Entry',
  { source: 'VT-d 5.10 §9.1', bits: 128 },
  {
    P: bit(0, 'Present'),
    RSVD_1: reserved(11, 1),
    CTP: frame(63, 12, 'Context-table Pointer'),
    RSVD_64: reserved(127, 64),
  },
);

/** Scalable mode: the two context tables of one bus, for devices 0 to 15 and 16 to 31. */
export const ScalableRootEntry = entry(
  'Scalable-mode Root Entry',
  { source: 'VT-d 5.10 §9.2', bits: 128 },
  {
    LP: bit(0, 'Lower Present'),
    RSVD_1: reserved(11, 1),
    LCTP: frame(63, 12, 'Lower Context Table Pointer'),
    UP: bit(64, 'Upper Present'),
    RSVD_65: reserved(75, 65),
    UCTP: frame(127, 76, 'Upper Context Table Pointer'),
  },
);

const ADDRESS_WIDTHS = { w39: 1, w48: 2, w57: 3 } as const;

/** Legacy mode: what one requester may do. */
export const ContextEntry = entry(
  'Context Entry',
  { source: 'VT-d 5.10 §9.3', bits: 128 },
  {
    P: bit(0, 'Present'),
    FPD: bit(1, 'Fault Processing Disable'),
    TT: field(3, 2, 'Translation Type', { untranslated: 0, deviceTlb: 1, passThrough: 2 }),
    RSVD_4: reserved(11, 4),
    SSPTPTR: frame(63, 12, 'Second Stage Page Translation Pointer'),
    AW: field(66, 64, 'Address Width', ADDRESS_WIDTHS),
    IGN_67: ignored(70, 67),
    RSVD_71: reserved(71),
    DID: field(87, 72, 'Domain Identifier'),
    RSVD_88: reserved(127, 88),
  },
);

/** Scalable mode: where the PASIDs of one requester are, and what it may ask for. */
export const ScalableContextEntry = entry(
  'Scalable-mode Context Entry',
  { source: 'VT-d 5.10 §9.4', bits: 256 },
  {
    P: bit(0, 'Present'),
    FPD: bit(1, 'Fault Processing Disable'),
    DTE: bit(2, 'Device-TLB Enable'),
    PASIDE: bit(3, 'PASID Enable'),
    PRE: bit(4, 'Page Request Enable'),
    HPTE: bit(5, 'HPT Enable'),
    EPTR: bit(6, 'Enable PASID in Translated Requests'),
    RSVD_7: reserved(8, 7),
    /** The directory has 2 to the power of this + 7 entries. */
    PDTS: field(11, 9, 'PASID Directory Size'),
    PASIDDIRPTR: frame(63, 12, 'PASID Directory Pointer'),
    RID_PASID: field(83, 64, 'Requester ID to PASID Assignment'),
    RID_PRIV: bit(84, 'Requester ID to PrivilegeModeRequested Assignment'),
    RSVD_85: reserved(255, 85),
  },
);

export const PasidDirectoryEntry = entry(
  'Scalable-mode PASID Directory Entry',
  { source: 'VT-d 5.10 §9.5', bits: 64 },
  {
    P: bit(0, 'Present'),
    FPD: bit(1, 'Fault Processing Disable'),
    RSVD_2: reserved(11, 2),
    SMPTBLPTR: frame(63, 12, 'Scalable Mode PASID Table Pointer'),
  },
);

/** One address space of one requester. */
export const PasidTableEntry = entry(
  'Scalable-mode PASID Table Entry',
  { source: 'VT-d 5.10 §9.6', bits: 512 },
  {
    P: bit(0, 'Present'),
    FPD: bit(1, 'Fault Processing Disable'),
    AW: field(4, 2, 'Address Width', ADDRESS_WIDTHS),
    RSVD_5: reserved(5),
    PGTT: field(8, 6, 'PASID Granular Translation Type', { firstStage: 1, secondStage: 2, nested: 3, passThrough: 4 }),
    SSADE: bit(9, 'Second Stage Access/Dirty bit Enable'),
    RSVD_10: reserved(11, 10),
    SSPTPTR: frame(63, 12, 'Second Stage Page Translation Pointer'),
    DID: field(79, 64, 'Domain Identifier'),
    RSVD_80: reserved(86, 80),
    PWSNP: bit(87, 'Page-walk Snoop'),
    PGSNP: bit(88, 'Page Snoop'),
    CD: bit(89, 'Cache Disable'),
    EMTE: bit(90, 'Extended Memory Type Enable'),
    RSVD_91: reserved(95, 91),
    PAT: field(127, 96, 'Page Attribute Table'),
    SRE: bit(128, 'Supervisor Request Enable'),
    RSVD_129: reserved(129),
    FSPM: field(131, 130, 'First Stage Paging Mode', { level4: 0, level5: 1 }),
    WPE: bit(132, 'Write Protect Enable'),
    IGN_133: ignored(134, 133),
    EAFE: bit(135, 'Extended Accessed Flag Enable'),
    RSVD_136: reserved(139, 136),
    FSPTPTR: frame(191, 140, 'First Stage Page Translation Pointer'),
    RSVD_192: reserved(255, 192),
    HPTSZ: field(257, 256, 'HPT Size'),
    HPTPFD: bit(258, 'HPT Prefetch Disable'),
    RSVD_259: reserved(267, 259),
    HPTPTR: frame(319, 268, 'HPT Root Pointer'),
    HPTDID: field(335, 320, 'HPT Domain-ID'),
    RSVD_336: reserved(511, 336),
  },
);
