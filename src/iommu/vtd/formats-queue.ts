import { bit, entry, field, frame, hexField, ignored, reserved } from '../../bits/entry.ts';

// What software submits through the invalidation queue, and what hardware writes into the page request queue.
// VT-d 5.10 §6.5.2, §7.4.1.1, §7.6.1. Descriptors of 128 bits are followed by 128 bits of zero in a queue of 256-bit ones.

/** The type of an invalidation descriptor: bits 11:9 and 3:0 put together. */
export const DESCRIPTOR_TYPES = {
  contextCache: 1,
  iotlb: 2,
  deviceTlb: 3,
  interruptEntryCache: 4,
  wait: 5,
  pasidIotlb: 6,
  pasidCache: 7,
  pasidDeviceTlb: 8,
  pageGroupResponse: 9,
  hptCache: 10,
} as const;

const type = (value: number) => field(3, 0, 'Type [3:0]', { this: value });
const TYPE_4 = field(11, 9, 'Type [6:4]', { this: 0 });
const granularities = <const N extends { readonly [name: string]: number }>(names: N) => field(5, 4, 'Granularity', names);

export const ContextCacheInvalidate = entry(
  'Context-cache Invalidate Descriptor',
  { source: 'VT-d 5.10 §6.5.2.1', bits: 128 },
  {
    TYPE_0: type(DESCRIPTOR_TYPES.contextCache),
    G: granularities({ global: 1, domain: 2, device: 3 }),
    RSVD_6: reserved(8, 6),
    TYPE_4,
    RSVD_12: reserved(15, 12),
    DID: field(31, 16, 'Domain-ID'),
    SID: hexField(47, 32, 'Source-ID'),
    FM: field(49, 48, 'Function Mask'),
    RSVD_50: reserved(63, 50),
    RSVD_64: reserved(127, 64),
  },
);

export const PasidCacheInvalidate = entry(
  'PASID-cache Invalidate Descriptor',
  { source: 'VT-d 5.10 §6.5.2.2', bits: 256 },
  {
    TYPE_0: type(DESCRIPTOR_TYPES.pasidCache),
    G: granularities({ domain: 0, pasid: 1, global: 3 }),
    RSVD_6: reserved(8, 6),
    TYPE_4,
    RSVD_12: reserved(15, 12),
    DID: field(31, 16, 'Domain-ID'),
    PASID: hexField(51, 32, 'PASID'),
    RSVD_52: reserved(63, 52),
    RSVD_64: reserved(127, 64),
    RSVD_128: reserved(255, 128),
  },
);

export const IotlbInvalidate = entry(
  'IOTLB Invalidate Descriptor',
  { source: 'VT-d 5.10 §6.5.2.3', bits: 128 },
  {
    TYPE_0: type(DESCRIPTOR_TYPES.iotlb),
    G: granularities({ global: 1, domain: 2, page: 3 }),
    DW: bit(6, 'Drain Writes'),
    DR: bit(7, 'Drain Reads'),
    RSVD_8: reserved(8),
    TYPE_4,
    RSVD_12: reserved(15, 12),
    DID: field(31, 16, 'Domain-ID'),
    RSVD_32: reserved(63, 32),
    AM: field(69, 64, 'Address Mask'),
    IH: bit(70, 'Invalidation Hint'),
    RSVD_71: reserved(75, 71),
    ADDR: frame(127, 76, 'Address'),
  },
);

export const PasidIotlbInvalidate = entry(
  'PASID-based IOTLB Invalidate Descriptor',
  { source: 'VT-d 5.10 §6.5.2.4', bits: 256 },
  {
    TYPE_0: type(DESCRIPTOR_TYPES.pasidIotlb),
    G: granularities({ pasid: 2, page: 3 }),
    RSVD_6: reserved(8, 6),
    TYPE_4,
    RSVD_12: reserved(15, 12),
    DID: field(31, 16, 'Domain-ID'),
    PASID: hexField(51, 32, 'PASID'),
    RSVD_52: reserved(63, 52),
    AM: field(69, 64, 'Address Mask'),
    IH: bit(70, 'Invalidation Hint'),
    RSVD_71: reserved(75, 71),
    ADDR: frame(127, 76, 'Address'),
    RSVD_128: reserved(255, 128),
  },
);

/** PFSID is reserved unless ECAP_REG.DIT is 1. */
export const DeviceTlbInvalidate = entry(
  'Device-TLB Invalidate Descriptor',
  { source: 'VT-d 5.10 §6.5.2.5', bits: 128 },
  {
    TYPE_0: type(DESCRIPTOR_TYPES.deviceTlb),
    RSVD_4: reserved(8, 4),
    TYPE_4,
    PFSID_0: hexField(15, 12, 'Physical Function Source-ID [3:0]'),
    MIP: field(20, 16, 'Max Invalidations Pending'),
    RSVD_21: reserved(31, 21),
    SID: hexField(47, 32, 'Source-ID'),
    RSVD_48: reserved(51, 48),
    PFSID_4: hexField(63, 52, 'Physical Function Source-ID [15:4]'),
    S: bit(64, 'Size'),
    RSVD_65: reserved(75, 65),
    ADDR: frame(127, 76, 'Address'),
  },
);

/** PFSID is reserved unless ECAP_REG.DIT is 1. */
export const PasidDeviceTlbInvalidate = entry(
  'PASID-based Device-TLB Invalidate Descriptor',
  { source: 'VT-d 5.10 §6.5.2.6', bits: 256 },
  {
    TYPE_0: type(DESCRIPTOR_TYPES.pasidDeviceTlb),
    MIP: field(8, 4, 'Max Invalidations Pending'),
    TYPE_4,
    PFSID_0: hexField(15, 12, 'Physical Function Source-ID [3:0]'),
    SID: hexField(31, 16, 'Source-ID'),
    PASID: hexField(51, 32, 'PASID'),
    PFSID_4: hexField(63, 52, 'Physical Function Source-ID [15:4]'),
    GI: bit(64, 'Global Invalidate'),
    RSVD_65: reserved(74, 65),
    S: bit(75, 'Size'),
    ADDR: frame(127, 76, 'Address'),
    RSVD_128: reserved(255, 128),
  },
);

export const HptCacheInvalidate = entry(
  'HPT Cache Invalidate Descriptor',
  { source: 'VT-d 5.10 §6.5.2.7', bits: 256 },
  {
    TYPE_0: type(DESCRIPTOR_TYPES.hptCache),
    G: granularities({ global: 1, domain: 2, page: 3 }),
    RSVD_6: reserved(8, 6),
    TYPE_4,
    RSVD_12: reserved(15, 12),
    HPTDID: field(31, 16, 'HPT Domain-ID'),
    RSVD_32: reserved(63, 32),
    AM: field(69, 64, 'Address Mask'),
    IH: field(71, 70, 'Invalidation Hint', { L1: 0, L2: 1, L3: 2, all: 3 }),
    RSVD_72: reserved(75, 72),
    ADDR: frame(127, 76, 'Address'),
    RSVD_128: reserved(255, 128),
  },
);

export const InterruptEntryCacheInvalidate = entry(
  'Interrupt Entry Cache Invalidate Descriptor',
  { source: 'VT-d 5.10 §6.5.2.8', bits: 128 },
  {
    TYPE_0: type(DESCRIPTOR_TYPES.interruptEntryCache),
    G: field(4, 4, 'Granularity', { global: 0, index: 1 }),
    RSVD_5: reserved(8, 5),
    TYPE_4,
    RSVD_12: reserved(26, 12),
    IM: field(31, 27, 'Index Mask'),
    IIDX: field(47, 32, 'Interrupt Index'),
    RSVD_48: reserved(63, 48),
    RSVD_64: reserved(127, 64),
  },
);

/** PD is reserved unless ECAP_REG.PDS is 1; of the status address, bits from the host address width on are ignored. */
export const InvalidationWait = entry(
  'Invalidation Wait Descriptor',
  { source: 'VT-d 5.10 §6.5.2.9', bits: 128 },
  {
    TYPE_0: type(DESCRIPTOR_TYPES.wait),
    IF: bit(4, 'Interrupt Flag'),
    SW: bit(5, 'Status Write'),
    FN: bit(6, 'Fence Flag'),
    PD: bit(7, 'Page-request Drain'),
    RSVD_8: reserved(8),
    TYPE_4,
    RSVD_12: reserved(31, 12),
    DATA: hexField(63, 32, 'Status Data'),
    RSVD_64: reserved(65, 64),
    ADDR: hexField(115, 66, 'Status Address [51:2]'),
    IGN_116: ignored(127, 116),
  },
);

export const PageGroupResponse = entry(
  'Page Group Response Descriptor',
  { source: 'VT-d 5.10 §7.6.1', bits: 256 },
  {
    TYPE_0: type(DESCRIPTOR_TYPES.pageGroupResponse),
    PP: bit(4, 'PASID Present'),
    RSVD_5: reserved(8, 5),
    TYPE_4,
    RC: field(15, 12, 'Response Code', { success: 0, invalidRequest: 1, responseFailure: 15 }),
    RID: hexField(31, 16, 'Requester-ID'),
    PASID: hexField(51, 32, 'PASID'),
    RSVD_52: reserved(63, 52),
    RSVD_64: reserved(65, 64),
    IGN_66: ignored(66),
    PRGI: field(75, 67, 'Page Request Group Index'),
    RSVD_76: reserved(127, 76),
    RSVD_128: reserved(255, 128),
  },
);

export const PageRequest = entry(
  'Page Request Descriptor',
  { source: 'VT-d 5.10 §7.4.1.1', bits: 256 },
  {
    TYPE: field(7, 0, 'Type', { pageRequest: 1 }),
    PP: bit(8, 'PASID Present'),
    RSVD_9: reserved(15, 9),
    RID: hexField(31, 16, 'Requester-ID'),
    PASID: hexField(51, 32, 'PASID'),
    EXR: bit(52, 'Execute Requested'),
    PMR: bit(53, 'Privilege Mode Requested'),
    RSVD_54: reserved(63, 54),
    RDR: bit(64, 'Read Requested'),
    WRR: bit(65, 'Write Requested'),
    LPIG: bit(66, 'Last Page in Group'),
    PRGI: field(75, 67, 'Page Request Group Index'),
    ADDR: frame(127, 76, 'Address'),
    RSVD_128: reserved(255, 128),
  },
);
