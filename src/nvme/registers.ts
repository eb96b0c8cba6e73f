import { bit, entry, field, frame, reserved } from '../bits/entry.ts';

// Controller registers at the start of BAR 0. Each entry carries its place in `offset`.

export const CAP = entry(
  'Controller Capabilities',
  { source: 'NVMe 1.4 §3.1.1; 2.0 §3.1.3.1', bits: 64, offset: 0x00 },
  {
    /** One less than the entries that a queue may have. */
    MQES: field(15, 0, 'Maximum Queue Entries Supported'),
    CQR: bit(16, 'Contiguous Queues Required'),
    AMS: field(18, 17, 'Arbitration Mechanism Supported'),
    RSVD_19: reserved(23, 19),
    /** Units of 500 milliseconds to wait for CSTS.RDY. */
    TO: field(31, 24, 'Timeout'),
    DSTRD: field(35, 32, 'Doorbell Stride'),
    NSSRS: bit(36, 'NVM Subsystem Reset Supported'),
    CSS: field(44, 37, 'Command Sets Supported'),
    BPS: bit(45, 'Boot Partition Support'),
    CPS: field(47, 46, 'Controller Power Scope'),
    /** Pages of 2^(12 + this) bytes. */
    MPSMIN: field(51, 48, 'Memory Page Size Minimum'),
    MPSMAX: field(55, 52, 'Memory Page Size Maximum'),
    PMRS: bit(56, 'Persistent Memory Region Supported'),
    CMBS: bit(57, 'Controller Memory Buffer Supported'),
    NSSS: bit(58, 'NVM Subsystem Shutdown Supported'),
    CRMS: field(60, 59, 'Controller Ready Modes Supported'),
    RSVD_61: reserved(63, 61),
  },
);

export const VS = entry(
  'Version',
  { source: 'NVMe 1.4 §3.1.2', bits: 32, offset: 0x08 },
  {
    TER: field(7, 0, 'Tertiary Version Number'),
    MNR: field(15, 8, 'Minor Version Number'),
    MJR: field(31, 16, 'Major Version Number'),
  },
);

export const CC = entry(
  'Controller Configuration',
  { source: 'NVMe 1.4 §3.1.5', bits: 32, offset: 0x14 },
  {
    EN: bit(0, 'Enable'),
    RSVD_1: reserved(3, 1),
    CSS: field(6, 4, 'I/O Command Set Selected', { nvm: 0, all: 6, adminOnly: 7 }),
    MPS: field(10, 7, 'Memory Page Size'),
    AMS: field(13, 11, 'Arbitration Mechanism Selected'),
    SHN: field(15, 14, 'Shutdown Notification', { none: 0, normal: 1, abrupt: 2 }),
    /** Entry sizes are powers of two: 6 is 64 bytes, 4 is 16. */
    IOSQES: field(19, 16, 'I/O Submission Queue Entry Size'),
    IOCQES: field(23, 20, 'I/O Completion Queue Entry Size'),
    CRIME: bit(24, 'Controller Ready Independent of Media Enable'),
    RSVD_25: reserved(31, 25),
  },
);

export const CSTS = entry(
  'Controller Status',
  { source: 'NVMe 1.4 §3.1.6', bits: 32, offset: 0x1c },
  {
    RDY: bit(0, 'Ready'),
    CFS: bit(1, 'Controller Fatal Status'),
    SHST: field(3, 2, 'Shutdown Status', { normal: 0, occurring: 1, complete: 2 }),
    NSSRO: bit(4, 'NVM Subsystem Reset Occurred'),
    PP: bit(5, 'Processing Paused'),
    ST: bit(6, 'Shutdown Type'),
    RSVD_7: reserved(31, 7),
  },
);

export const AQA = entry(
  'Admin Queue Attributes',
  { source: 'NVMe 1.4 §3.1.8', bits: 32, offset: 0x24 },
  {
    /** Both are one less than the entries. */
    ASQS: field(11, 0, 'Admin Submission Queue Size'),
    RSVD_12: reserved(15, 12),
    ACQS: field(27, 16, 'Admin Completion Queue Size'),
    RSVD_28: reserved(31, 28),
  },
);

export const ASQ = entry(
  'Admin Submission Queue Base Address',
  { source: 'NVMe 1.4 §3.1.9', bits: 64, offset: 0x28 },
  { RSVD_0: reserved(11, 0), ASQB: frame(63, 12, 'Admin Submission Queue Base') },
);

export const ACQ = entry(
  'Admin Completion Queue Base Address',
  { source: 'NVMe 1.4 §3.1.10', bits: 64, offset: 0x30 },
  { RSVD_0: reserved(11, 0), ACQB: frame(63, 12, 'Admin Completion Queue Base') },
);

/** Bytes of the registers before the doorbells. */
export const DOORBELLS = 0x1000;

/**
 * Where the doorbell of a queue is in BAR 0. NVMe 1.4 §3.1.24, §3.1.25.
 * @param queue 0 for the admin queue
 * @param dstrd CAP.DSTRD
 */
export function doorbell(side: 'submission' | 'completion', queue: number, dstrd: number): number {
  return DOORBELLS + (2 * queue + (side === 'completion' ? 1 : 0)) * (4 << dstrd);
}
