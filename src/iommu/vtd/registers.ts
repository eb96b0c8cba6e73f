import { bit, entry, type Field, field, reserved } from '../../bits/entry.ts';

// Registers of a VT-d remapping unit. Each entry carries its place in `offset`; every field of these two is read-only.

/** A bit that had a meaning once and must now read as 0. Older units may still show it set. */
function deprecated(at: number): Field<number | bigint, Record<never, number>> {
  return { ...reserved(at), label: 'Deprecated' };
}

export const CAP_REG = entry(
  'Capability Register',
  { source: 'VT-d 5.10 §11.4.2', bits: 64, offset: 0x008 },
  {
    /** Domain-ids have 4 + 2 × this bits; 7 is reserved. */
    ND: field(2, 0, 'Number of domains supported', { d16: 0, d64: 1, d256: 2, d1K: 3, d4K: 4, d16K: 5, d64K: 6 }),
    RSVD_3: reserved(3),
    RWBF: bit(4, 'Required Write-Buffer Flushing'),
    PLMR: bit(5, 'Protected Low-Memory Region'),
    PHMR: bit(6, 'Protected High-Memory Region'),
    CM: bit(7, 'Caching Mode'),
    /** A set: bit 1 is 39 bits (3-level), bit 2 is 48 (4-level), bit 3 is 57 (5-level); bits 0 and 4 are reserved. */
    SAGAW: field(12, 8, 'Supported Adjusted Guest Address Widths'),
    RSVD_13: reserved(15, 13),
    /** One less than the width in bits. */
    MGAW: field(21, 16, 'Maximum Guest Address Width'),
    ZLR: bit(22, 'Zero Length Read'),
    DEP_23: deprecated(23),
    /** In units of 16 bytes from the register base. */
    FRO: field(33, 24, 'Fault-recording Register offset'),
    /** A set: bit 0 is 2 MiB, bit 1 is 1 GiB. */
    SSLPS: field(37, 34, 'Second Stage Large Page Support'),
    RSVD_38: reserved(38),
    PSI: bit(39, 'Page Selective Invalidation'),
    /** One less than the number. */
    NFR: field(47, 40, 'Number of Fault-recording Registers'),
    MAMV: field(53, 48, 'Maximum Address Mask Value'),
    DWD: bit(54, 'Write Draining'),
    DRD: bit(55, 'Read Draining'),
    FS1GP: bit(56, 'First Stage 1-GByte Page Support'),
    RSVD_57: reserved(58, 57),
    PI: bit(59, 'Posted Interrupts Support'),
    FS5LP: bit(60, 'First Stage 5-level Paging Support'),
    ECMDS: bit(61, 'Enhanced Command Support'),
    ESIRTPS: bit(62, 'Enhanced Set Interrupt Remap Table Pointer Support'),
    ESRTPS: bit(63, 'Enhanced Set Root Table Pointer Support'),
  },
);

export const ECAP_REG = entry(
  'Extended Capability Register',
  { source: 'VT-d 5.10 §11.4.3', bits: 64, offset: 0x010 },
  {
    C: bit(0, 'Page-walk Coherency'),
    QI: bit(1, 'Queued Invalidation support'),
    DT: bit(2, 'Device-TLB support'),
    IR: bit(3, 'Interrupt Remapping support'),
    EIM: bit(4, 'Extended Interrupt Mode'),
    DEP_5: deprecated(5),
    PT: bit(6, 'Pass Through'),
    SC: bit(7, 'Snoop Control'),
    /** In units of 16 bytes from the register base. */
    IRO: field(17, 8, 'IOTLB Register Offset'),
    RSVD_18: reserved(19, 18),
    MHMV: field(23, 20, 'Maximum Handle Mask Value'),
    DEP_24: deprecated(24),
    MTS: bit(25, 'Memory Type Support'),
    NEST: bit(26, 'Nested Translation Support'),
    RSVD_27: reserved(27),
    DEP_28: deprecated(28),
    PRS: bit(29, 'Page Request Support'),
    ERS: bit(30, 'Execute Request Support'),
    SRS: bit(31, 'Supervisor Request Support'),
    RSVD_32: reserved(32),
    NWFS: bit(33, 'No Write Flag Support'),
    EAFS: bit(34, 'Extended Accessed Flag Support'),
    /** One less than the width in bits. */
    PSS: field(39, 35, 'PASID Size Supported'),
    PASID: bit(40, 'Process Address Space ID Support'),
    DIT: bit(41, 'Device-TLB Invalidation Throttle'),
    PDS: bit(42, 'Page-request Drain Support'),
    SMTS: bit(43, 'Scalable Mode Translation Support'),
    VCS: bit(44, 'Virtual Command Support'),
    SSADS: bit(45, 'Second-Stage Accessed/Dirty Support'),
    SSTS: bit(46, 'Second-stage Translation Support'),
    FSTS: bit(47, 'First-stage Translation Support'),
    SMPWCS: bit(48, 'Scalable-Mode Page-walk Coherency Support'),
    RPS: bit(49, 'RID-PASID Support'),
    TDXCS: bit(50, 'TDX Connect Support'),
    PMS: bit(51, 'Performance Monitoring Support'),
    ADMS: bit(52, 'Abort DMA Mode Support'),
    RPRIVS: bit(53, 'RID_PRIV Support'),
    RSVD_54: reserved(54),
    HPTS: bit(55, 'HPT Support'),
    PTRS: bit(56, 'PASID in Translated Request Support'),
    SSIRWS: bit(57, 'Second Stage I/O Read/Write Support'),
    SMS: bit(58, 'Stop Marker Support'),
    HPT1GPS: bit(59, 'HPT 1G Page Support'),
    RDTS: bit(60, 'RDT Configuration Support'),
    EIMER: bit(61, 'Extended Interrupt Mode Enable Required'),
    IRREQ: bit(62, 'Interrupt Remapping Required'),
    RSVD_63: reserved(63),
  },
);

/** A 64-bit register seen whole, as its entry reads it. */
export function registerView(value: bigint): DataView {
  const view = new DataView(new ArrayBuffer(8));
  view.setBigUint64(0, value, true);
  return view;
}

/** Address widths in bits that a SAGAW field stands for. VT-d 5.10 §11.4.2. */
export function addressWidths(SAGAW: number): number[] {
  return [39, 48, 57].filter((_, index) => SAGAW & (2 << index));
}
