import { bit, entry, field, frame, hexField, onlyWith, reserved, rw, rw1c, wo } from '../../bits/entry.ts';

// Invalidation by registers and by queue, and the queue of page requests. VT-d 5.10 §11.4.6, §11.4.9, §11.4.11.

export const CCMD_REG = entry(
  'Context Command Register',
  { source: 'VT-d 5.10 §11.4.6.1', bits: 64, offset: 0x028 },
  {
    DID: rw(field(15, 0, 'Domain-ID')),
    SID: wo(hexField(31, 16, 'Source-ID')),
    FM: wo(field(33, 32, 'Function Mask')),
    RSVD_34: reserved(58, 34),
    CAIG: field(60, 59, 'Context Actual Invalidation Granularity', { error: 0, global: 1, domain: 2, device: 3 }),
    CIRG: rw(field(62, 61, 'Context Invalidation Request Granularity', { global: 1, domain: 2, device: 3 })),
    ICC: rw(bit(63, 'Invalidate Context-Cache')),
  },
);

/** Lies where ECAP_REG.IRO says; IOTLB_REG follows it. */
export const IVA_REG = entry(
  'Invalidate Address Register',
  { source: 'VT-d 5.10 §11.4.6.4', bits: 64 },
  {
    AM: wo(field(5, 0, 'Address Mask')),
    IH: wo(bit(6, 'Invalidation Hint')),
    RSVD_7: reserved(11, 7),
    ADDR: wo(frame(63, 12, 'Address')),
  },
);

export const IOTLB_REG = entry(
  'IOTLB Invalidate Register',
  { source: 'VT-d 5.10 §11.4.6.3', bits: 64 },
  {
    RSVD_0: reserved(31, 0),
    DID: rw(field(47, 32, 'Domain-ID')),
    DW: rw(bit(48, 'Drain Writes')),
    DR: rw(bit(49, 'Drain Reads')),
    RSVD_50: reserved(56, 50),
    IAIG: field(58, 57, 'IOTLB Actual Invalidation Granularity', { error: 0, global: 1, domain: 2, page: 3 }),
    RSVD_59: reserved(59),
    IIRG: rw(field(61, 60, 'IOTLB Invalidation Request Granularity', { global: 1, domain: 2, page: 3 })),
    RSVD_62: reserved(62),
    IVT: rw(bit(63, 'Invalidate IOTLB')),
  },
);

export const IQH_REG = entry(
  'Invalidation Queue Head Register',
  { source: 'VT-d 5.10 §11.4.9.1', bits: 64, offset: 0x080 },
  { RSVD_0: reserved(3, 0), QH: field(18, 4, 'Queue Head'), RSVD_19: reserved(63, 19) },
);

export const IQT_REG = entry(
  'Invalidation Queue Tail Register',
  { source: 'VT-d 5.10 §11.4.9.2', bits: 64, offset: 0x088 },
  { RSVD_0: reserved(3, 0), QT: rw(field(18, 4, 'Queue Tail')), RSVD_19: reserved(63, 19) },
);

export const IQA_REG = entry(
  'Invalidation Queue Address Register',
  { source: 'VT-d 5.10 §11.4.9.3', bits: 64, offset: 0x090 },
  {
    /** The queue has 2 to the power of QS pages of 4 KiB. */
    QS: rw(field(2, 0, 'Queue Size')),
    RSVD_3: reserved(10, 3),
    DW: rw(bit(11, 'Descriptor Width')),
    IQA: rw(frame(63, 12, 'Invalidation Queue Base Address')),
  },
);

export const ICS_REG = entry(
  'Invalidation Completion Status Register',
  { source: 'VT-d 5.10 §11.4.9.4', bits: 32, offset: 0x09c },
  { IWC: rw1c(bit(0, 'Invalidation Wait Descriptor Complete')), RSVD_1: reserved(31, 1) },
);

export const IQERCD_REG = entry(
  'Invalidation Queue Error Record Register',
  { source: 'VT-d 5.10 §11.4.9.9', bits: 64, offset: 0x0b0 },
  {
    IQEI: field(3, 0, 'Invalidation Queue Error Info', {
      tail: 1,
      fetch: 2,
      type: 3,
      reserved: 4,
      width: 5,
      alignment: 6,
      mode: 7,
    }),
    RSVD_4: reserved(31, 4),
    ITESID: onlyWith('ECAP.DT', hexField(47, 32, 'Invalidation Time-out Error Source Identifier')),
    ICESID: onlyWith('ECAP.DT', hexField(63, 48, 'Invalidation Completion Error Source Identifier')),
  },
);

export const PQH_REG = entry(
  'Page Request Queue Head Register',
  { source: 'VT-d 5.10 §11.4.11.1', bits: 64, offset: 0x0c0 },
  { RSVD_0: reserved(4, 0), PQH: rw(field(18, 5, 'Page Queue Head')), RSVD_19: reserved(63, 19) },
);

export const PQT_REG = entry(
  'Page Request Queue Tail Register',
  { source: 'VT-d 5.10 §11.4.11.2', bits: 64, offset: 0x0c8 },
  { RSVD_0: reserved(4, 0), PQT: rw(field(18, 5, 'Page Queue Tail')), RSVD_19: reserved(63, 19) },
);

export const PQA_REG = entry(
  'Page Request Queue Address Register',
  { source: 'VT-d 5.10 §11.4.11.3', bits: 64, offset: 0x0d0 },
  {
    /** The queue has 2 to the power of PQS pages of 4 KiB. */
    PQS: rw(field(2, 0, 'Page Queue Size')),
    RSVD_3: reserved(11, 3),
    PQA: rw(frame(63, 12, 'Page Request Queue Base Address')),
  },
);

export const PRS_REG = entry(
  'Page Request Status Register',
  { source: 'VT-d 5.10 §11.4.11.4', bits: 32, offset: 0x0dc },
  {
    PPR: rw1c(bit(0, 'Pending Page Request')),
    PRO: rw1c(bit(1, 'Page Request Overflow')),
    RSVD_2: reserved(31, 2),
  },
);
