import { bit, entry, field, frame, onlyWith, reserved, rw, wo } from '../../bits/entry.ts';

// Commands to the whole unit and where its tables are. VT-d 5.10 §11.4.1 to §11.4.5, §11.4.8, §11.4.10.

export const VER_REG = entry(
  'Version Register',
  { source: 'VT-d 5.10 §11.4.1', bits: 32, offset: 0x000 },
  { MIN: field(3, 0, 'Minor Version number'), MAX: field(7, 4, 'Major Version number'), RSVD_8: reserved(31, 8) },
);

export const GCMD_REG = entry(
  'Global Command Register',
  { source: 'VT-d 5.10 §11.4.4.1', bits: 32, offset: 0x018 },
  {
    RSVD_0: reserved(22, 0),
    CFI: onlyWith('ECAP.IR', wo(bit(23, 'Compatibility Format Interrupt'))),
    SIRTP: onlyWith('ECAP.IR', wo(bit(24, 'Set Interrupt Remap Table Pointer'))),
    IRE: onlyWith('ECAP.IR', wo(bit(25, 'Interrupt Remapping Enable'))),
    QIE: onlyWith('ECAP.QI', wo(bit(26, 'Queued Invalidation Enable'))),
    WBF: onlyWith('CAP.RWBF', wo(bit(27, 'Write Buffer Flush'))),
    /** Revisions before 4 had SFL and EAFL (fault log pointer, advanced fault log) here. */
    RSVD_28: reserved(29, 28),
    SRTP: wo(bit(30, 'Set Root Table Pointer')),
    TE: wo(bit(31, 'Translation Enable')),
  },
);

export const GSTS_REG = entry(
  'Global Status Register',
  { source: 'VT-d 5.10 §11.4.4.2', bits: 32, offset: 0x01c },
  {
    RSVD_0: reserved(22, 0),
    CFIS: bit(23, 'Compatibility Format Interrupt Status'),
    IRTPS: bit(24, 'Interrupt Remapping Table Pointer Status'),
    IRES: bit(25, 'Interrupt Remapping Enable Status'),
    QIES: bit(26, 'Queued Invalidation Enable Status'),
    WBFS: bit(27, 'Write Buffer Flush Status'),
    RSVD_28: reserved(29, 28),
    RTPS: bit(30, 'Root Table Pointer Status'),
    TES: bit(31, 'Translation Enable Status'),
  },
);

export const RTADDR_REG = entry(
  'Root Table Address Register',
  { source: 'VT-d 5.10 §11.4.5', bits: 64, offset: 0x020 },
  {
    RSVD_0: reserved(6, 0),
    SSIRWE: onlyWith('ECAP.SSIRWS', rw(bit(7, 'Second Stage I/O Read/Write Enable'))),
    RSVD_8: reserved(9, 8),
    TTM: rw(field(11, 10, 'Translation Table Mode', { legacy: 0, scalable: 1, abort: 3 })),
    RTA: rw(frame(63, 12, 'Root Table Address')),
  },
);

/** Of the bits of a limit or base of protected memory, the low 20 are not implemented: regions are counted in MiB. */
const REGION_SHIFT = 20;

export const PMEN_REG = entry(
  'Protected Memory Enable Register',
  { source: 'VT-d 5.10 §11.4.8.1', bits: 32, offset: 0x064 },
  { PRS: bit(0, 'Protected Region Status'), RSVD_1: reserved(30, 1), EPM: rw(bit(31, 'Enable Protected Memory')) },
);

export const PLMBASE_REG = entry(
  'Protected Low-Memory Base Register',
  { source: 'VT-d 5.10 §11.4.8.2', bits: 32, offset: 0x068 },
  { RSVD_0: reserved(REGION_SHIFT - 1, 0), PLMB: rw(field(31, REGION_SHIFT, 'Protected Low-Memory Base')) },
);

export const PLMLIMIT_REG = entry(
  'Protected Low-Memory Limit Register',
  { source: 'VT-d 5.10 §11.4.8.3', bits: 32, offset: 0x06c },
  { RSVD_0: reserved(REGION_SHIFT - 1, 0), PLML: rw(field(31, REGION_SHIFT, 'Protected Low-Memory Limit')) },
);

export const PHMBASE_REG = entry(
  'Protected High-Memory Base Register',
  { source: 'VT-d 5.10 §11.4.8.4', bits: 64, offset: 0x070 },
  { RSVD_0: reserved(REGION_SHIFT - 1, 0), PHMB: rw(field(63, REGION_SHIFT, 'Protected High-Memory Base')) },
);

export const PHMLIMIT_REG = entry(
  'Protected High-Memory Limit Register',
  { source: 'VT-d 5.10 §11.4.8.5', bits: 64, offset: 0x078 },
  { RSVD_0: reserved(REGION_SHIFT - 1, 0), PHML: rw(field(63, REGION_SHIFT, 'Protected High-Memory Limit')) },
);

export const IRTA_REG = entry(
  'Interrupt Remapping Table Address Register',
  { source: 'VT-d 5.10 §11.4.10', bits: 64, offset: 0x0b8 },
  {
    /** The table has 2 to the power of S + 1 entries. */
    S: rw(field(3, 0, 'Size')),
    RSVD_4: reserved(10, 4),
    EIME: onlyWith('ECAP.EIM', rw(bit(11, 'Extended Interrupt Mode Enable'))),
    IRTA: rw(frame(63, 12, 'Interrupt Remapping Table Address')),
  },
);

export const MTRRCAP_REG = entry(
  'MTRR Capability Register',
  { source: 'VT-d 5.10 §11.4.12.1', bits: 64, offset: 0x100 },
  {
    VCNT: field(7, 0, 'Variable MTRR Count'),
    FIX: bit(8, 'Fixed Range MTRRs Supported'),
    RSVD_9: reserved(9),
    WC: bit(10, 'Write Combining'),
    RSVD_11: reserved(63, 11),
  },
);

export const MTRRDEF_REG = entry(
  'MTRR Default Type Register',
  { source: 'VT-d 5.10 §11.4.12.2', bits: 64, offset: 0x108 },
  {
    TYPE: rw(field(7, 0, 'Default Memory Type')),
    RSVD_8: reserved(9, 8),
    FE: rw(bit(10, 'Fixed Range MTRR Enable')),
    E: rw(bit(11, 'MTRR Enable')),
    RSVD_12: reserved(63, 12),
  },
);

/** Eleven of them, from 0x120 on, each for eight ranges. */
export const MTRR_FIX_REG = entry(
  'Fixed-Range MTRR',
  { source: 'VT-d 5.10 §11.4.12.3', bits: 64, offset: 0x120 },
  {
    R0: rw(field(7, 0, 'Register Field 0')),
    R1: rw(field(15, 8, 'Register Field 1')),
    R2: rw(field(23, 16, 'Register Field 2')),
    R3: rw(field(31, 24, 'Register Field 3')),
    R4: rw(field(39, 32, 'Register Field 4')),
    R5: rw(field(47, 40, 'Register Field 5')),
    R6: rw(field(55, 48, 'Register Field 6')),
    R7: rw(field(63, 56, 'Register Field 7')),
  },
);

/** Ten pairs of base and mask, from 0x180 on. Bits from the host address width on are reserved. */
export const MTRR_PHYSBASE_REG = entry(
  'Variable-Range MTRR Base',
  { source: 'VT-d 5.10 §11.4.12.4', bits: 64, offset: 0x180 },
  {
    TYPE: rw(field(7, 0, 'Memory Type')),
    RSVD_8: reserved(11, 8),
    PHYSBASE: rw(frame(51, 12, 'Physical Base')),
    RSVD_52: reserved(63, 52),
  },
);

export const MTRR_PHYSMASK_REG = entry(
  'Variable-Range MTRR Mask',
  { source: 'VT-d 5.10 §11.4.12.4', bits: 64, offset: 0x188 },
  {
    RSVD_0: reserved(10, 0),
    V: rw(bit(11, 'Valid')),
    PHYSMASK: rw(frame(51, 12, 'Physical Mask')),
    RSVD_52: reserved(63, 52),
  },
);

export const ECMD_REG = entry(
  'Enhanced Command Register',
  { source: 'VT-d 5.10 §11.4.14.1', bits: 64, offset: 0x400 },
  { CMD: wo(field(7, 0, 'Command')), RSVD_8: reserved(15, 8), OA: wo(field(63, 16, 'Operand A')) },
);

export const ECEO_REG = entry(
  'Enhanced Command Extended Operand Register',
  { source: 'VT-d 5.10 §11.4.14.2', bits: 64, offset: 0x408 },
  { OB_0: wo(field(31, 0, 'Operand B, low')), OB_32: wo(field(63, 32, 'Operand B, high')) },
);

export const ECRSP_REG = entry(
  'Enhanced Command Response Register',
  { source: 'VT-d 5.10 §11.4.14.3', bits: 64, offset: 0x410 },
  {
    IP: bit(0, 'In Progress'),
    SC: field(7, 1, 'Status Code', { success: 0, undefinedCommand: 1, aborted: 2 }),
    RSVD_8: reserved(15, 8),
    RSLT: field(63, 16, 'Result'),
  },
);

export const RDTC_REG = entry(
  'RDT Configuration Register',
  { source: 'VT-d 5.10 §11.4.15', bits: 64, offset: 0xdc0 },
  {
    RMID: rw(field(11, 0, 'Resource Monitoring ID')),
    RSVD_12: reserved(31, 12),
    CLOS: rw(field(36, 32, 'Class of Service')),
    RSVD_37: reserved(63, 37),
  },
);

export const VCMD_REG = entry(
  'Virtual Command Register',
  { source: 'VT-d 5.10 §11.4.16.1', bits: 64, offset: 0xe00 },
  {
    CMD: rw(field(7, 0, 'Command', { null: 0, allocatePasid: 1, freePasid: 2 })),
    RSVD_8: reserved(15, 8),
    OA: rw(field(63, 16, 'Operand A')),
  },
);

export const VCMD_EO_REG = entry(
  'Virtual Command Extended Operand Register',
  { source: 'VT-d 5.10 §11.4.16.2', bits: 64, offset: 0xe08 },
  { OB_0: rw(field(31, 0, 'Operand B, low')), OB_32: rw(field(63, 32, 'Operand B, high')) },
);

export const VCRSP_REG = entry(
  'Virtual Command Response Register',
  { source: 'VT-d 5.10 §11.4.16.3', bits: 64, offset: 0xe10 },
  {
    IP: bit(0, 'In Progress'),
    SC: field(7, 1, 'Status Code', { success: 0, undefinedCommand: 1, refused: 16 }),
    RSVD_8: reserved(15, 8),
    RSLT: field(63, 16, 'Result'),
  },
);

export const VCCAP_REG = entry(
  'Virtual Command Capability Register',
  { source: 'VT-d 5.10 §11.4.16.4', bits: 64, offset: 0xe30 },
  {
    NS: bit(0, 'Null Command Support'),
    PAS: bit(1, 'PASID Allocation Support'),
    FPS: bit(2, 'Free PASID Support'),
    RSVD_3: reserved(63, 3),
  },
);
