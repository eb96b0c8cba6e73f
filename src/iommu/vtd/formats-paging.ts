import { bit, entry, field, frame, ignored, reserved } from '../../bits/entry.ts';

// Entries of page tables. One definition serves all levels that lead to a table; PS is reserved at levels 4 and 5.

/** First stage, PML5E to PDE: leads to the table of the next level. */
export const FirstStageTable = entry(
  'First-stage Entry that References a Table',
  { source: 'VT-d 5.10 §9.7, Tables 34, 35, 37, 39', bits: 64 },
  {
    P: bit(0, 'Present'),
    RW: bit(1, 'Read/Write'),
    US: bit(2, 'User/Supervisor'),
    IGN_3: ignored(4, 3),
    A: bit(5, 'Accessed'),
    IGN_6: ignored(6),
    PS: bit(7, 'Page Size'),
    IGN_8: ignored(9, 8),
    EA: bit(10, 'Extended Accessed'),
    IGN_11: ignored(11),
    ADDR: frame(51, 12, 'Address'),
    IGN_52: ignored(63, 52),
  },
);

const FIRST_STAGE_PAGE = {
  P: bit(0, 'Present'),
  RW: bit(1, 'Read/Write'),
  US: bit(2, 'User/Supervisor'),
  PWT: bit(3, 'Page-level Write Through'),
  PCD: bit(4, 'Page-level Cache Disable'),
  A: bit(5, 'Accessed'),
  D: bit(6, 'Dirty'),
  G: bit(8, 'Global'),
  IGN_9: ignored(9),
  EA: bit(10, 'Extended Accessed'),
  IGN_11: ignored(11),
  IGN_52: ignored(63, 52),
} as const;

export const FirstStagePage1G = entry(
  'First-stage PDPE that Maps a 1-GByte Page',
  { source: 'VT-d 5.10 §9.7, Table 36', bits: 64 },
  {
    ...FIRST_STAGE_PAGE,
    PS: bit(7, 'Page Size'),
    PAT: bit(12, 'Page Attribute'),
    RSVD_13: reserved(29, 13),
    ADDR: field(51, 30, 'Address'),
  },
);

export const FirstStagePage2M = entry(
  'First-stage PDE that Maps a 2-MByte Page',
  { source: 'VT-d 5.10 §9.7, Table 38', bits: 64 },
  {
    ...FIRST_STAGE_PAGE,
    PS: bit(7, 'Page Size'),
    PAT: bit(12, 'Page Attribute'),
    RSVD_13: reserved(20, 13),
    ADDR: field(51, 21, 'Address'),
  },
);

export const FirstStagePage4K = entry(
  'First-stage PTE that Maps a 4-KByte Page',
  { source: 'VT-d 5.10 §9.7, Table 40', bits: 64 },
  { ...FIRST_STAGE_PAGE, PAT: bit(7, 'Page Attribute'), ADDR: frame(51, 12, 'Address') },
);

const SECOND_STAGE_RIGHTS = {
  R: bit(0, 'Read'),
  W: bit(1, 'Write'),
  IGN_52: ignored(60, 52),
  /** IR and IW count in place of R and W when RTADDR_REG.SSIRWE is set; otherwise IW is reserved. */
  IR: bit(61, 'I/O Read'),
  IW: bit(62, 'I/O Write'),
  IGN_63: ignored(63),
} as const;

/** Second stage, SS-PML5E to SS-PDE: leads to the table of the next level. */
export const SecondStageTable = entry(
  'Second-stage Entry that References a Table',
  { source: 'VT-d 5.10 §9.8, Tables 41, 42, 44, 46', bits: 64 },
  {
    ...SECOND_STAGE_RIGHTS,
    IGN_2: ignored(6, 2),
    PS: bit(7, 'Page Size'),
    A: bit(8, 'Accessed'),
    IGN_9: ignored(10, 9),
    RSVD_11: reserved(11),
    ADDR: frame(51, 12, 'Address'),
  },
);

const SECOND_STAGE_PAGE = {
  ...SECOND_STAGE_RIGHTS,
  IGN_2: ignored(2),
  EMT: field(5, 3, 'Extended Memory Type', { UC: 0, WC: 1, WT: 4, WP: 5, WB: 6 }),
  IPAT: bit(6, 'Ignore PAT'),
  A: bit(8, 'Accessed'),
  D: bit(9, 'Dirty'),
  IGN_10: ignored(10),
  SNP: bit(11, 'Snoop'),
} as const;

export const SecondStagePage1G = entry(
  'Second-stage PDPE that Maps a 1-GByte Page',
  { source: 'VT-d 5.10 §9.8, Table 43', bits: 64 },
  { ...SECOND_STAGE_PAGE, PS: bit(7, 'Page Size'), RSVD_12: reserved(29, 12), ADDR: field(51, 30, 'Address') },
);

export const SecondStagePage2M = entry(
  'Second-stage PDE that Maps a 2-MByte Page',
  { source: 'VT-d 5.10 §9.8, Table 45', bits: 64 },
  { ...SECOND_STAGE_PAGE, PS: bit(7, 'Page Size'), RSVD_12: reserved(20, 12), ADDR: field(51, 21, 'Address') },
);

export const SecondStagePage4K = entry(
  'Second-stage PTE that Maps a 4-KByte Page',
  { source: 'VT-d 5.10 §9.8, Table 47', bits: 64 },
  { ...SECOND_STAGE_PAGE, IGN_7: ignored(7), ADDR: frame(51, 12, 'Address') },
);
