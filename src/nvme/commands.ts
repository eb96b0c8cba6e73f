import { bit, entry, field, reserved, u16, u32, u64 } from '../bits/entry.ts';

export const SubmissionQueueEntry = entry(
  'Submission Queue Entry',
  { source: 'NVMe 1.4 §4.2', bits: 512 },
  {
    OPC: field(7, 0, 'Opcode'),
    FUSE: field(9, 8, 'Fused Operation'),
    RSVD_10: reserved(13, 10),
    PSDT: field(15, 14, 'PRP or SGL for Data Transfer', { prp: 0 }),
    CID: u16(2, 'Command Identifier'),
    NSID: u32(4, 'Namespace Identifier'),
    CDW2: u32(8, 'Command Dword 2'),
    CDW3: u32(12, 'Command Dword 3'),
    MPTR: u64(16, 'Metadata Pointer'),
    PRP1: u64(24, 'PRP Entry 1'),
    PRP2: u64(32, 'PRP Entry 2'),
    CDW10: u32(40, 'Command Dword 10'),
    CDW11: u32(44, 'Command Dword 11'),
    CDW12: u32(48, 'Command Dword 12'),
    CDW13: u32(52, 'Command Dword 13'),
    CDW14: u32(56, 'Command Dword 14'),
    CDW15: u32(60, 'Command Dword 15'),
  },
);

export const CompletionQueueEntry = entry(
  'Completion Queue Entry',
  { source: 'NVMe 1.4 §4.6', bits: 128 },
  {
    DW0: u32(0, 'Command Specific'),
    DW1: u32(4, 'Dword 1'),
    SQHD: u16(8, 'SQ Head Pointer'),
    SQID: u16(10, 'SQ Identifier'),
    CID: u16(12, 'Command Identifier'),
    P: bit(112, 'Phase Tag'),
    /** As {@link decodeStatus} in status.ts reads it. */
    SF: field(127, 113, 'Status Field'),
  },
);

export const OPCODE = {
  deleteIoSq: 0x00,
  createIoSq: 0x01,
  getLogPage: 0x02,
  identify: 0x06,
  virtualizationManagement: 0x1c,
} as const;

/** An admin command without its place in a queue; `dataLength` bytes come back from the controller. */
export interface AdminCommand {
  opcode: number;
  nsid: number;
  cdw10: number;
  cdw11: number;
  dataLength: number;
}

const IdentifyDword10 = entry(
  'Identify, Command Dword 10',
  { source: 'NVMe 1.4 §5.15', bits: 32 },
  {
    CNS: field(7, 0, 'Controller or Namespace Structure'),
    RSVD_8: reserved(15, 8),
    CNTID: field(31, 16, 'Controller Identifier'),
  },
);

/** Which structure Identify returns. NVMe 1.4 §5.15.1. */
export const CNS = {
  namespace: 0x00,
  controller: 0x01,
  activeNamespaces: 0x02,
  primaryCapabilities: 0x14,
  secondaryControllers: 0x15,
} as const;

export const IDENTIFY_BYTES = 4096;

/**
 * Identify. NVMe 1.4 §5.15.
 * @param cntid for the lists that start at a controller: the first one to be listed
 */
export function identify(cns: number, { nsid = 0, cntid = 0 }: { nsid?: number; cntid?: number } = {}): AdminCommand {
  return {
    opcode: OPCODE.identify,
    nsid,
    cdw10: dword(IdentifyDword10.encode({ CNS: cns, CNTID: cntid })),
    cdw11: 0,
    dataLength: IDENTIFY_BYTES,
  };
}

export const VirtualizationDword10 = entry(
  'Virtualization Management, Command Dword 10',
  { source: 'NVMe 1.4 §5.22', bits: 32 },
  {
    ACT: field(3, 0, 'Action', { primaryFlexibleAllocation: 1, secondaryOffline: 7, secondaryAssign: 8, secondaryOnline: 9 }),
    RSVD_4: reserved(7, 4),
    RT: field(10, 8, 'Resource Type', { VQ: 0, VI: 1 }),
    RSVD_11: reserved(15, 11),
    CNTLID: field(31, 16, 'Controller Identifier'),
  },
);

export const VirtualizationDword11 = entry(
  'Virtualization Management, Command Dword 11',
  { source: 'NVMe 1.4 §5.22', bits: 32 },
  { NR: field(15, 0, 'Number of Controller Resources'), RSVD_16: reserved(31, 16) },
);

export type VirtualizationAction = keyof typeof VirtualizationDword10.values.ACT;

/**
 * Virtualization Management, which a primary controller takes. Its result, bits 15:0, is the number of resources changed.
 * NVMe 1.4 §5.22, §8.5.
 *
 * A secondary controller must be offline to be assigned resources; it goes online only with at least two VQ (one I/O queue
 * pair beside the admin one) and one VI. Reset its function between the two.
 *
 * @param action    primary allocation takes effect at the primary's next reset
 * @param cntlid    identifier of the controller that it is about; the primary's own for its flexible allocation
 * @param resources kind and number, for the two actions that have them
 * @throws RangeError when a number has more than 16 bits
 */
export function virtualizationManagement(
  action: VirtualizationAction,
  cntlid: number,
  resources?: { type: 'VQ' | 'VI'; count: number },
): AdminCommand {
  const { ACT, RT } = VirtualizationDword10.values;
  return {
    opcode: OPCODE.virtualizationManagement,
    nsid: 0,
    cdw10: dword(VirtualizationDword10.encode({ ACT: ACT[action], RT: resources ? RT[resources.type] : 0, CNTLID: cntlid })),
    cdw11: dword(VirtualizationDword11.encode({ NR: resources?.count ?? 0 })),
    dataLength: 0,
  };
}

/**
 * The 64 bytes of a submission queue entry for a command whose data lies within two pages.
 *
 * @param cid  what the completion will be known by
 * @param prp1 IOVA of the data
 * @param prp2 IOVA of its second page, when it has one
 */
export function submissionEntry(command: AdminCommand, cid: number, prp1: bigint, prp2 = 0n): Uint8Array {
  const { opcode, nsid, cdw10, cdw11 } = command;
  return SubmissionQueueEntry.encode({ OPC: opcode, CID: cid, NSID: nsid, PRP1: prp1, PRP2: prp2, CDW10: cdw10, CDW11: cdw11 });
}

function dword(bytes: Uint8Array<ArrayBuffer>): number {
  return new DataView(bytes.buffer).getUint32(0, true);
}
