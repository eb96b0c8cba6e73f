import {
  bit,
  bytes,
  type Decoded,
  entry,
  field,
  reserved,
  reservedBytes,
  text,
  u8,
  u16,
  u32,
  u64,
  viewOf,
} from '../bits/index.ts';

/** Identify Controller, as far as passing a controller through needs it; the rest is kept as bytes. */
export const IdentifyController = entry(
  'Identify Controller Data Structure',
  { source: 'NVMe 1.4 §5.15.2.2, Figure 247', bits: 4096 * 8 },
  {
    VID: u16(0, 'PCI Vendor ID'),
    SSVID: u16(2, 'PCI Subsystem Vendor ID'),
    SN: text(4, 20, 'Serial Number', ' '),
    MN: text(24, 40, 'Model Number', ' '),
    FR: text(64, 8, 'Firmware Revision', ' '),
    RAB: u8(72, 'Recommended Arbitration Burst'),
    IEEE: field(75 * 8 + 7, 73 * 8, 'IEEE OUI Identifier'),
    MultiplePorts: bit(76 * 8, 'CMIC: the subsystem may have more than one port'),
    MultipleControllers: bit(76 * 8 + 1, 'CMIC: the subsystem may have more than one controller'),
    VirtualFunction: bit(76 * 8 + 2, 'CMIC: the controller is associated with an SR-IOV virtual function'),
    AsymmetricNamespaceAccess: bit(76 * 8 + 3, 'CMIC: asymmetric namespace access reporting'),
    RSVD_CMIC: reserved(76 * 8 + 7, 76 * 8 + 4),
    /** 2^MDTS pages of CAP.MPSMIN; 0 is no limit. */
    MDTS: u8(77, 'Maximum Data Transfer Size'),
    CNTLID: u16(78, 'Controller ID'),
    VER: u32(80, 'Version'),
    Bytes_84: bytes(84, 27, 'RTD3R to RRLS'),
    CNTRLTYPE: u8(111, 'Controller Type', { notReported: 0, io: 1, discovery: 2, administrative: 3 }),
    FGUID: bytes(112, 16, 'FRU Globally Unique Identifier'),
    Bytes_128: bytes(128, 128, 'CRDT1 to MEC'),
    SecuritySendReceive: bit(256 * 8, 'OACS: Security Send and Receive'),
    FormatNvm: bit(256 * 8 + 1, 'OACS: Format NVM'),
    Firmware: bit(256 * 8 + 2, 'OACS: Firmware Commit and Image Download'),
    NamespaceManagement: bit(256 * 8 + 3, 'OACS: Namespace Management and Attachment'),
    DeviceSelfTest: bit(256 * 8 + 4, 'OACS: Device Self-test'),
    Directives: bit(256 * 8 + 5, 'OACS: Directives'),
    NvmeMi: bit(256 * 8 + 6, 'OACS: NVMe-MI Send and Receive'),
    VirtualizationManagement: bit(256 * 8 + 7, 'OACS: Virtualization Management'),
    DoorbellBufferConfig: bit(256 * 8 + 8, 'OACS: Doorbell Buffer Config'),
    GetLbaStatus: bit(256 * 8 + 9, 'OACS: Get LBA Status'),
    CommandFeatureLockdown: bit(256 * 8 + 10, 'OACS: Command and Feature Lockdown'),
    RSVD_OACS: reserved(257 * 8 + 7, 256 * 8 + 11),
    Bytes_258: bytes(258, 254, 'ACL to the end of the admin part'),
    SQES: u8(512, 'Submission Queue Entry Size'),
    CQES: u8(513, 'Completion Queue Entry Size'),
    MAXCMD: u16(514, 'Maximum Outstanding Commands'),
    NN: u32(516, 'Number of Namespaces'),
    Bytes_520: bytes(520, 248, 'ONCS to the end of the NVM part'),
    SUBNQN: text(768, 256, 'NVM Subsystem NVMe Qualified Name'),
    Bytes_1024: bytes(1024, 3072, 'Fabrics, power states and vendor specific'),
  },
);

/** Identify Namespace, as far as sharing goes; the rest is kept as numbers and bytes. */
export const IdentifyNamespace = entry(
  'Identify Namespace Data Structure',
  { source: 'NVMe 1.4 §5.15.2.1, Figure 245', bits: 4096 * 8 },
  {
    NSZE: u64(0, 'Namespace Size'),
    NCAP: u64(8, 'Namespace Capacity'),
    NUSE: u64(16, 'Namespace Utilization'),
    NSFEAT: u8(24, 'Namespace Features'),
    NLBAF: u8(25, 'Number of LBA Formats'),
    FLBAS: u8(26, 'Formatted LBA Size'),
    MC: u8(27, 'Metadata Capabilities'),
    DPC: u8(28, 'End-to-end Data Protection Capabilities'),
    DPS: u8(29, 'End-to-end Data Protection Type Settings'),
    Shared: bit(30 * 8, 'NMIC: the namespace may be attached to two or more controllers'),
    RSVD_NMIC: reserved(30 * 8 + 7, 30 * 8 + 1),
    Bytes_31: bytes(31, 4065, 'RESCAP to the end'),
  },
);

/** What a primary controller has to give to the secondary ones: queues (VQ) and interrupts (VI). */
export const PrimaryControllerCapabilities = entry(
  'Primary Controller Capabilities Structure',
  { source: 'NVMe 1.4 §5.15.2.10', bits: 4096 * 8 },
  {
    CNTLID: u16(0, 'Controller Identifier'),
    PORTID: u16(2, 'Port Identifier'),
    VQSupported: bit(32, 'CRT: VQ Resources'),
    VISupported: bit(33, 'CRT: VI Resources'),
    RSVD_CRT: reserved(39, 34),
    RSVD_5: reservedBytes(5, 27),
    VQFRT: u32(32, 'VQ Resources Flexible Total'),
    VQRFA: u32(36, 'VQ Resources Flexible Assigned'),
    VQRFAP: u16(40, 'VQ Resources Flexible Allocated to Primary'),
    VQPRT: u16(42, 'VQ Resources Private Total'),
    VQFRSM: u16(44, 'VQ Resources Flexible Secondary Maximum'),
    VQGRAN: u16(46, 'VQ Flexible Resource Preferred Granularity'),
    RSVD_48: reservedBytes(48, 16),
    VIFRT: u32(64, 'VI Resources Flexible Total'),
    VIRFA: u32(68, 'VI Resources Flexible Assigned'),
    VIRFAP: u16(72, 'VI Resources Flexible Allocated to Primary'),
    VIPRT: u16(74, 'VI Resources Private Total'),
    VIFRSM: u16(76, 'VI Resources Flexible Secondary Maximum'),
    VIGRAN: u16(78, 'VI Flexible Resource Preferred Granularity'),
    RSVD_80: reservedBytes(80, 4016),
  },
);

export const SecondaryControllerEntry = entry(
  'Secondary Controller Entry',
  { source: 'NVMe 1.4 §5.15.2.11', bits: 32 * 8 },
  {
    SCID: u16(0, 'Secondary Controller Identifier'),
    PCID: u16(2, 'Primary Controller Identifier'),
    Online: bit(32, 'SCS: Secondary Controller State'),
    RSVD_33: reserved(39, 33),
    RSVD_5: reservedBytes(5, 3),
    /** 1 for VF 0 of sysfs; 0 when the secondary controller is no VF. */
    VFN: u16(8, 'Virtual Function Number'),
    NVQ: u16(10, 'Number of VQ Flexible Resources Assigned'),
    NVI: u16(12, 'Number of VI Flexible Resources Assigned'),
    RSVD_14: reservedBytes(14, 18),
  },
);

/** Number of entries, before the list itself. */
export const SecondaryControllerListHeader = entry(
  'Secondary Controller List Header',
  { source: 'NVMe 1.4 §5.15.2.11', bits: 32 * 8 },
  { NUM: u8(0, 'Number of Identifiers'), RSVD_1: reservedBytes(1, 31) },
);

/** Most entries that a list holds. */
export const SECONDARY_CONTROLLERS = 127;

export interface SecondaryController {
  /** Identifier for Virtualization Management. */
  scid: number;
  /** Identifier of its primary controller. */
  pcid: number;
  online: boolean;
  /** The VF that it is, counted from 0 as `virtfnN` in sysfs; undefined when it is none. */
  vf: number | undefined;
  /** Queue resources: the admin queue pair counts as one. */
  vq: number;
  /** Interrupt resources. */
  vi: number;
}

/** @returns undefined when `data` is shorter than the structure */
export function readIdentifyController(data: Uint8Array): Decoded<typeof IdentifyController> | undefined {
  const view = viewOf(data);
  return IdentifyController.fits(view) ? IdentifyController.decode(view) : undefined;
}

/** @returns undefined when `data` is shorter than the structure */
export function readIdentifyNamespace(data: Uint8Array): Decoded<typeof IdentifyNamespace> | undefined {
  const view = viewOf(data);
  return IdentifyNamespace.fits(view) ? IdentifyNamespace.decode(view) : undefined;
}

/** @returns undefined when `data` is shorter than the structure */
export function readPrimaryCapabilities(data: Uint8Array): Decoded<typeof PrimaryControllerCapabilities> | undefined {
  const view = viewOf(data);
  return PrimaryControllerCapabilities.fits(view) ? PrimaryControllerCapabilities.decode(view) : undefined;
}

/**
 * The secondary controllers of a list, as many as it says and its bytes hold. A full list may go on: ask again with
 * `cntid` one above the last SCID.
 */
export function readSecondaryControllers(data: Uint8Array): SecondaryController[] {
  const view = viewOf(data);
  if (!SecondaryControllerListHeader.fits(view)) return [];
  const count = SecondaryControllerListHeader.get.NUM(view, 0);
  const out: SecondaryController[] = [];
  for (let i = 0; i < count; i++) {
    const at = SecondaryControllerListHeader.bytes + i * SecondaryControllerEntry.bytes;
    if (!SecondaryControllerEntry.fits(view, at)) break;
    const { SCID, PCID, Online, VFN, NVQ, NVI } = SecondaryControllerEntry.decode(view, at);
    out.push({ scid: SCID, pcid: PCID, online: Online === 1, vf: VFN === 0 ? undefined : VFN - 1, vq: NVQ, vi: NVI });
  }
  return out;
}
