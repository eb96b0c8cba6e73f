import { bit, entry, field, hexField, reserved, u8 } from '../bits/entry.ts';
import { capabilityHeader } from './capabilities.ts';

/** Of AGP 2.0 and 3.0, whose AGP3 mode gives the rates another meaning. */
export const Agp = entry(
  'AGP Capability',
  { source: 'AGP 3.0 §6.3', bits: 96 },
  {
    ...capabilityHeader,
    MinorRevision: field(19, 16, 'Minor Revision'),
    MajorRevision: field(23, 20, 'Major Revision'),
    RSVD_24: reserved(31, 24),
    RateSupported: hexField(34, 32, 'Rates Supported'),
    AGP3Mode: bit(35, 'AGP 3.0 Mode'),
    FastWriteSupported: bit(36, 'Fast Write Supported'),
    Over4GSupported: bit(37, 'Addresses above 4 GB Supported'),
    HTRANS: bit(38, 'HTRANS#'),
    GART64Supported: bit(39, '64-bit GART Entries Supported'),
    ITACoherent: bit(40, 'In-Aperture Accesses Coherent'),
    SBASupported: bit(41, 'Sideband Addressing Supported'),
    CalibrationCycle: field(44, 42, 'Calibration Cycle'),
    OptimumRequestSize: field(47, 45, 'Optimum Asynchronous Request Size'),
    IsochronousSupported: bit(48, 'Isochronous Supported'),
    RSVD_49: reserved(55, 49),
    /** One less than the requests. */
    RequestQueue: field(63, 56, 'Request Queue Depth'),
    Rate: hexField(66, 64, 'Rate'),
    RSVD_67: reserved(67),
    FastWriteEnable: bit(68, 'Fast Write Enable'),
    Over4GEnable: bit(69, 'Addresses above 4 GB Enable'),
    RSVD_70: reserved(70),
    GART64Enable: bit(71, '64-bit GART Entries Enable'),
    AGPEnable: bit(72, 'AGP Enable'),
    SBAEnable: bit(73, 'Sideband Addressing Enable'),
    ProgrammedCalibrationCycle: field(76, 74, 'Programmed Calibration Cycle'),
    ProgrammedRequestSize: field(79, 77, 'Programmed Asynchronous Request Size'),
    RSVD_80: reserved(87, 80),
    ProgrammedRequestQueue: field(95, 88, 'Programmed Request Queue Depth'),
  },
);

export const VitalProductData = entry(
  'VPD Capability',
  { source: 'PCIe 6.0 §7.9.18', bits: 64 },
  {
    ...capabilityHeader,
    VPDAddress: hexField(30, 16, 'VPD Address'),
    F: bit(31, 'F (transfer complete)'),
    VPDData: hexField(63, 32, 'VPD Data'),
  },
);

export const SlotIdentification = entry(
  'Slot Numbering Capability',
  { source: 'PCI-to-PCI Bridge 1.2 §13.2', bits: 32 },
  {
    ...capabilityHeader,
    ExpansionSlotsProvided: field(20, 16, 'Expansion Slots Provided'),
    FirstInChassis: bit(21, 'First in Chassis'),
    RSVD_22: reserved(23, 22),
    ChassisNumber: u8(3, 'Chassis Number'),
  },
);

const readByteCounts = { '512 bytes': 0, '1024 bytes': 1, '2048 bytes': 2, '4096 bytes': 3 } as const;
const splitTransactions = { '1': 0, '2': 1, '3': 2, '4': 3, '8': 4, '12': 5, '16': 6, '32': 7 } as const;

/** Of a function with a type 0 header. */
export const PciX = entry(
  'PCI-X Capability',
  { source: 'PCI-X 2.0a §7.2', bits: 64 },
  {
    ...capabilityHeader,
    DataParityErrorRecoveryEnable: bit(16, 'Uncorrectable Data Error Recovery Enable'),
    EnableRelaxedOrdering: bit(17, 'Enable Relaxed Ordering'),
    MaximumMemoryReadByteCount: field(19, 18, 'Maximum Memory Read Byte Count', readByteCounts),
    MaximumOutstandingSplitTransactions: field(22, 20, 'Maximum Outstanding Split Transactions', splitTransactions),
    RSVD_23: reserved(31, 23),
    FunctionNumber: field(34, 32, 'Function Number'),
    DeviceNumber: field(39, 35, 'Device Number'),
    BusNumber: field(47, 40, 'Bus Number'),
    Device64Bit: bit(48, '64-bit Device'),
    Capable133MHz: bit(49, '133 MHz Capable'),
    SplitCompletionDiscarded: bit(50, 'Split Completion Discarded'),
    UnexpectedSplitCompletion: bit(51, 'Unexpected Split Completion'),
    DeviceComplexity: field(52, 52, 'Device Complexity', { simple: 0, bridge: 1 }),
    DesignedMaximumMemoryReadByteCount: field(54, 53, 'Designed Maximum Memory Read Byte Count', readByteCounts),
    DesignedMaximumOutstandingSplitTransactions: field(
      57,
      55,
      'Designed Maximum Outstanding Split Transactions',
      splitTransactions,
    ),
    DesignedMaximumCumulativeReadSize: field(60, 58, 'Designed Maximum Cumulative Read Size', {
      '1 KB': 0,
      '2 KB': 1,
      '4 KB': 2,
      '8 KB': 3,
      '16 KB': 4,
      '32 KB': 5,
      '64 KB': 6,
      '128 KB': 7,
    }),
    ReceivedSplitCompletionErrorMessage: bit(61, 'Received Split Completion Error Message'),
    Capable266MHz: bit(62, 'PCI-X 266 Capable'),
    Capable533MHz: bit(63, 'PCI-X 533 Capable'),
  },
);

/** Of a bridge. */
export const PciXBridge = entry(
  'PCI-X Bridge Capability',
  { source: 'PCI-X 2.0a §8.6.2', bits: 128 },
  {
    ...capabilityHeader,
    SecondaryDevice64Bit: bit(16, 'Secondary 64-bit Device'),
    SecondaryCapable133MHz: bit(17, 'Secondary 133 MHz Capable'),
    SecondarySplitCompletionDiscarded: bit(18, 'Secondary Split Completion Discarded'),
    SecondaryUnexpectedSplitCompletion: bit(19, 'Secondary Unexpected Split Completion'),
    SecondarySplitCompletionOverrun: bit(20, 'Secondary Split Completion Overrun'),
    SecondarySplitRequestDelayed: bit(21, 'Secondary Split Request Delayed'),
    SecondaryClockFrequency: field(24, 22, 'Secondary Bus Mode and Frequency', {
      'conventional PCI': 0,
      '66 MHz': 1,
      '100 MHz': 2,
      '133 MHz': 3,
    }),
    RSVD_25: reserved(31, 25),
    FunctionNumber: field(34, 32, 'Function Number'),
    DeviceNumber: field(39, 35, 'Device Number'),
    BusNumber: field(47, 40, 'Bus Number'),
    Device64Bit: bit(48, '64-bit Device'),
    Capable133MHz: bit(49, '133 MHz Capable'),
    SplitCompletionDiscarded: bit(50, 'Split Completion Discarded'),
    UnexpectedSplitCompletion: bit(51, 'Unexpected Split Completion'),
    SplitCompletionOverrun: bit(52, 'Split Completion Overrun'),
    SplitRequestDelayed: bit(53, 'Split Request Delayed'),
    RSVD_54: reserved(63, 54),
    UpstreamSplitTransactionCapacity: field(79, 64, 'Upstream Split Transaction Capacity'),
    UpstreamSplitTransactionCommitmentLimit: field(95, 80, 'Upstream Split Transaction Commitment Limit'),
    DownstreamSplitTransactionCapacity: field(111, 96, 'Downstream Split Transaction Capacity'),
    DownstreamSplitTransactionCommitmentLimit: field(127, 112, 'Downstream Split Transaction Commitment Limit'),
  },
);

/** The type decides what else there is. Types below 8 are the host and slave interfaces, whose low bits are no type. */
export const HyperTransport = entry(
  'HyperTransport Capability',
  { source: 'HyperTransport I/O Link 3.10 §7.4', bits: 32 },
  {
    ...capabilityHeader,
    Command: hexField(26, 16, 'Command'),
    CapabilityType: field(31, 27, 'Capability Type', {
      'slave or primary interface': 0,
      'host or secondary interface': 4,
      switch: 8,
      'interrupt discovery and configuration': 16,
      'revision ID': 17,
      'UnitID clumping': 18,
      'extended configuration space access': 19,
      'address mapping': 20,
      'MSI mapping': 21,
      DirectRoute: 22,
      VCSet: 23,
      'retry mode': 24,
      'X86 encoding': 25,
    }),
  },
);

export const HyperTransportMsi = entry(
  'HyperTransport MSI Mapping',
  { source: 'HyperTransport I/O Link 3.10 §7.12', bits: 32 },
  {
    ...capabilityHeader,
    En: bit(16, 'Enable'),
    Fixed: bit(17, 'Fixed (at 0xfee00000)'),
    RSVD_18: reserved(26, 18),
    CapabilityType: field(31, 27, 'Capability Type', { 'MSI mapping': 21 }),
  },
);

/** Absent when the address is fixed. */
export const HyperTransportMsiAddress = entry(
  'HyperTransport MSI Mapping Address',
  { source: 'HyperTransport I/O Link 3.10 §7.12', bits: 64, offset: 4 },
  {
    RSVD_0: reserved(19, 0),
    MappingAddress: hexField(31, 20, 'Mapping Address (bits 31:20)'),
    MappingAddressUpper: hexField(63, 32, 'Mapping Address (bits 63:32)'),
  },
);

export const VendorSpecific = entry(
  'Vendor-Specific Capability',
  { source: 'PCIe 6.0 §7.9.4', bits: 24 },
  {
    ...capabilityHeader,
    /** Bytes, the header included. */
    CapabilityLength: u8(2, 'Capability Length'),
  },
);

/** The Vendor-Specific Capability of a virtio device: where one of its structures lies. */
export const VirtioStructure = entry(
  'virtio Structure',
  { source: 'Virtio 1.2 §4.1.4', bits: 128 },
  {
    ...capabilityHeader,
    cap_len: u8(2, 'cap_len'),
    cfg_type: u8(3, 'cfg_type', {
      'common configuration': 1,
      notifications: 2,
      'ISR status': 3,
      'device configuration': 4,
      'configuration access': 5,
      'shared memory': 8,
      'vendor data': 9,
    }),
    bar: u8(4, 'bar'),
    id: u8(5, 'id'),
    RSVD_48: reserved(63, 48),
    offset: hexField(95, 64, 'offset'),
    length: hexField(127, 96, 'length'),
  },
);

/** After notifications. */
export const VirtioNotify = entry(
  'virtio Notification Multiplier',
  { source: 'Virtio 1.2 §4.1.4.4', bits: 32, offset: 16 },
  { notify_off_multiplier: hexField(31, 0, 'notify_off_multiplier') },
);

/** After shared memory. */
export const VirtioSharedMemory = entry(
  'virtio Shared Memory',
  { source: 'Virtio 1.2 §4.1.4.7', bits: 64, offset: 16 },
  { offset_hi: hexField(31, 0, 'offset_hi'), length_hi: hexField(63, 32, 'length_hi') },
);

export const DebugPort = entry(
  'Debug Port Capability',
  { source: 'EHCI Debug Port 1.0 Appendix C.2', bits: 32 },
  {
    ...capabilityHeader,
    DebugPortOffset: hexField(28, 16, 'Debug Port Offset'),
    /** One more than the number of the BAR. */
    BARNumber: field(31, 29, 'BAR#'),
  },
);

export const SataIndexData = entry(
  'Serial ATA Capability',
  { source: 'Serial ATA AHCI 1.3.1 §2.4', bits: 64 },
  {
    ...capabilityHeader,
    MinorRevision: field(19, 16, 'Minor Revision'),
    MajorRevision: field(23, 20, 'Major Revision'),
    RSVD_24: reserved(31, 24),
    BARLocation: field(35, 32, 'BAR Location', {
      'BAR 0': 4,
      'BAR 1': 5,
      'BAR 2': 6,
      'BAR 3': 7,
      'BAR 4': 8,
      'BAR 5': 9,
      'in this capability': 15,
    }),
    /** In units of 4 bytes. */
    BAROffset: hexField(55, 36, 'BAR Offset'),
    RSVD_56: reserved(63, 56),
  },
);
