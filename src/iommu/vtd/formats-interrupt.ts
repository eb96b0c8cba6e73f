import { bit, bytes, entry, field, hexField, ignored, reserved, reservedBytes } from '../../bits/entry.ts';

// What an interrupt request says, the table that remaps it, and the descriptor that it is posted to.

/** How the destination takes an interrupt. 011b and 110b are not defined. */
const DELIVERY = { fixed: 0, lowestPriority: 1, smi: 2, nmi: 4, init: 5, extInt: 7 } as const;
const TRIGGER = { edge: 0, level: 1 } as const;
const DESTINATION = { physical: 0, logical: 1 } as const;
/** Which requesters an IRTE serves; 11b is reserved. */
const VALIDATION = { none: 0, sid: 1, busRange: 2 } as const;

/** The low 32 address bits of an interrupt request that names an entry of the interrupt-remapping table. */
export const RemappableAddress = entry(
  'Remappable Format Interrupt Address',
  { source: 'VT-d 5.10 §5.1.2.2, Table 13', bits: 32 },
  {
    IGN_0: ignored(1, 0),
    HANDLE_15: bit(2, 'Handle[15]'),
    SHV: bit(3, 'SubHandle Valid'),
    FORMAT: field(4, 4, 'Interrupt Format', { compatibility: 0, remappable: 1 }),
    HANDLE: hexField(19, 5, 'Handle[14:0]'),
    FEE: hexField(31, 20, 'Interrupt Identifier'),
  },
);

/** The data of such a request. Looked at only when SHV is set. */
export const RemappableData = entry(
  'Remappable Format Interrupt Data',
  { source: 'VT-d 5.10 §5.1.2.2, Table 14', bits: 32 },
  { SUBHANDLE: hexField(15, 0, 'Subhandle'), RSVD_16: reserved(31, 16) },
);

/** The low 32 address bits of an interrupt as processors understand it. In x2APIC mode bits 31:8 of the destination are in the upper 32. */
export const CompatibilityAddress = entry(
  'Compatibility Format Interrupt Address',
  { source: 'VT-d 5.10 §5.1.2.1, Figure 5-1', bits: 32 },
  {
    IGN_0: ignored(1, 0),
    DM: field(2, 2, 'Destination Mode', DESTINATION),
    RH: bit(3, 'Redirection Hint'),
    FORMAT: field(4, 4, 'Interrupt Format', { compatibility: 0, remappable: 1 }),
    RSVD_5: reserved(11, 5),
    DST: hexField(19, 12, 'Destination ID'),
    FEE: hexField(31, 20, 'Interrupt Identifier'),
  },
);

export const CompatibilityData = entry(
  'Compatibility Format Interrupt Data',
  { source: 'VT-d 5.10 §5.1.2.1, Figure 5-1', bits: 32 },
  {
    V: field(7, 0, 'Vector'),
    DLM: field(10, 8, 'Delivery Mode', DELIVERY),
    RSVD_11: reserved(13, 11),
    LEVEL: field(14, 14, 'Trigger Mode Level', { deasserted: 0, asserted: 1 }),
    TM: field(15, 15, 'Trigger Mode', TRIGGER),
    RSVD_16: reserved(31, 16),
  },
);

/** An interrupt-remapping table entry with IM = 0: the interrupt becomes another one. */
export const RemappedIrte = entry(
  'Interrupt Remapping Table Entry for Remapped Interrupts',
  { source: 'VT-d 5.10 §9.9', bits: 128 },
  {
    P: bit(0, 'Present'),
    FPD: bit(1, 'Fault Processing Disable'),
    DM: field(2, 2, 'Destination Mode', DESTINATION),
    RH: bit(3, 'Redirection Hint'),
    TM: field(4, 4, 'Trigger Mode', TRIGGER),
    DLM: field(7, 5, 'Delivery Mode', DELIVERY),
    AVAIL: field(11, 8, 'Available'),
    RSVD_12: reserved(14, 12),
    IM: field(15, 15, 'IRTE Mode', { remapped: 0, posted: 1 }),
    V: field(23, 16, 'Vector'),
    RSVD_24: reserved(31, 24),
    /** All of it with EIME = 1; with EIME = 0 bits 15:8 of it, and the rest is reserved. */
    DST: hexField(63, 32, 'Destination ID'),
    SID: hexField(79, 64, 'Source Identifier'),
    SQ: field(81, 80, 'Source-id Qualifier', { all: 0, ignoreBit2: 1, ignoreBits21: 2, ignoreBits20: 3 }),
    SVT: field(83, 82, 'Source Validation Type', VALIDATION),
    RSVD_84: reserved(127, 84),
  },
);

/** An interrupt-remapping table entry with IM = 1: the interrupt is noted in a descriptor. Reserved as a whole when CAP_REG.PI is 0. */
export const PostedIrte = entry(
  'Interrupt Remapping Table Entry for Posted Interrupts',
  { source: 'VT-d 5.10 §9.10', bits: 128 },
  {
    P: bit(0, 'Present'),
    FPD: bit(1, 'Fault Processing Disable'),
    RSVD_2: reserved(7, 2),
    AVAIL: field(11, 8, 'Available'),
    RSVD_12: reserved(13, 12),
    URG: bit(14, 'Urgent'),
    IM: field(15, 15, 'IRTE Mode', { remapped: 0, posted: 1 }),
    VV: field(23, 16, 'Virtual Vector'),
    RSVD_24: reserved(37, 24),
    /** Address bits 31:6. */
    PDAL: hexField(63, 38, 'Posted Descriptor Address Low'),
    SID: hexField(79, 64, 'Source Identifier'),
    SQ: field(81, 80, 'Source-id Qualifier', { all: 0, ignoreBit2: 1, ignoreBits21: 2, ignoreBits20: 3 }),
    SVT: field(83, 82, 'Source Validation Type', VALIDATION),
    RSVD_84: reserved(95, 84),
    /** Address bits 63:32; those from the host address width on are reserved. */
    PDAH: hexField(127, 96, 'Posted Descriptor Address High'),
  },
);

/** Where interrupts for one virtual processor wait, 64-byte aligned. */
export const PostedInterruptDescriptor = entry(
  'Posted Interrupt Descriptor',
  { source: 'VT-d 5.10 §9.11', bits: 512 },
  {
    /** One bit for each vector, the lowest first. */
    PIR: bytes(0, 32, 'Posted Interrupt Requests'),
    ON: bit(256, 'Outstanding Notification'),
    SN: bit(257, 'Suppress Notification'),
    RSVD_258: reserved(271, 258),
    NV: field(279, 272, 'Notification Vector'),
    RSVD_280: reserved(287, 280),
    /** All of it with EIME = 1; with EIME = 0 bits 15:8 of it, and the rest is reserved. */
    NDST: hexField(319, 288, 'Notification Destination'),
    RSVD_320: reservedBytes(40, 24),
  },
);
