import { bit, entry, field, hexField, reserved, u8 } from '../bits/entry.ts';

/** What every capability in the first 256 bytes begins with. */
export const capabilityHeader = {
  CapabilityID: u8(0, 'Capability ID'),
  NextCapabilityPointer: u8(1, 'Next Capability Pointer'),
} as const;

/** What every capability beyond them begins with. */
export const extendedHeader = {
  ExtendedCapabilityID: field(15, 0, 'PCI Express Extended Capability ID'),
  CapabilityVersion: field(19, 16, 'Capability Version'),
  NextCapabilityOffset: hexField(31, 20, 'Next Capability Offset'),
} as const;

export const CapabilityHeader = entry('Capability Header', { source: 'PCIe 6.0 §7.5.3.1', bits: 16 }, capabilityHeader);

export const ExtendedCapabilityHeader = entry(
  'Extended Capability Header',
  { source: 'PCIe 6.0 §7.6.3', bits: 32 },
  extendedHeader,
);

export const PowerManagement = entry(
  'PCI Power Management Capability',
  { source: 'PCIe 6.0 §7.5.2', bits: 64 },
  {
    ...capabilityHeader,
    Version: field(18, 16, 'Version'),
    PMEClock: bit(19, 'PME Clock'),
    ImmediateReadinessOnReturnToD0: bit(20, 'Immediate Readiness on Return to D0'),
    DSI: bit(21, 'Device Specific Initialization'),
    AuxCurrent: field(24, 22, 'Aux Current', {
      '0 mA': 0,
      '55 mA': 1,
      '100 mA': 2,
      '160 mA': 3,
      '220 mA': 4,
      '270 mA': 5,
      '320 mA': 6,
      '375 mA': 7,
    }),
    D1_Support: bit(25, 'D1 Support'),
    D2_Support: bit(26, 'D2 Support'),
    PMEFromD0: bit(27, 'PME from D0'),
    PMEFromD1: bit(28, 'PME from D1'),
    PMEFromD2: bit(29, 'PME from D2'),
    PMEFromD3hot: bit(30, 'PME from D3hot'),
    PMEFromD3cold: bit(31, 'PME from D3cold'),
    PowerState: field(33, 32, 'Power State', { D0: 0, D1: 1, D2: 2, D3hot: 3 }),
    RSVD_34: reserved(34),
    No_Soft_Reset: bit(35, 'No Soft Reset'),
    RSVD_36: reserved(39, 36),
    PME_En: bit(40, 'PME Enable'),
    Data_Select: field(44, 41, 'Data Select'),
    Data_Scale: field(46, 45, 'Data Scale'),
    PME_Status: bit(47, 'PME Status'),
    RSVD_48: reserved(53, 48),
    /** Of conventional bridges: PCI Power Management 1.2 §3.2.5. Undefined in PCI Express. */
    B2_B3: bit(54, 'B2/B3 Support for D3hot'),
    BPCC_En: bit(55, 'Bus Power/Clock Control Enable'),
    Data: u8(7, 'Data'),
  },
);

/** The part of MSI that does not depend on its own flags: header and Message Control. */
export const Msi = entry(
  'MSI Capability',
  { source: 'PCIe 6.0 §7.7.1', bits: 32 },
  {
    ...capabilityHeader,
    MSIEnable: bit(16, 'MSI Enable'),
    MultipleMessageCapable: field(19, 17, 'Multiple Message Capable', { '1': 0, '2': 1, '4': 2, '8': 3, '16': 4, '32': 5 }),
    MultipleMessageEnable: field(22, 20, 'Multiple Message Enable', { '1': 0, '2': 1, '4': 2, '8': 3, '16': 4, '32': 5 }),
    AddressCapable64: bit(23, '64-bit Address Capable'),
    PerVectorMaskingCapable: bit(24, 'Per-Vector Masking Capable'),
    ExtendedMessageDataCapable: bit(25, 'Extended Message Data Capable'),
    ExtendedMessageDataEnable: bit(26, 'Extended Message Data Enable'),
    RSVD_27: reserved(31, 27),
  },
);

/** What follows Message Control when the function has 32-bit message addresses. */
export const MsiAddress32 = entry(
  'MSI Address and Data (32-bit)',
  { source: 'PCIe 6.0 §7.7.1.3, §7.7.1.5', bits: 64, offset: 4 },
  {
    MessageAddress: hexField(31, 0, 'Message Address'),
    MessageData: hexField(47, 32, 'Message Data'),
    ExtendedMessageData: hexField(63, 48, 'Extended Message Data'),
  },
);

export const MsiAddress64 = entry(
  'MSI Address and Data (64-bit)',
  { source: 'PCIe 6.0 §7.7.1.3 to §7.7.1.6', bits: 96, offset: 4 },
  {
    MessageAddress: hexField(31, 0, 'Message Address'),
    MessageUpperAddress: hexField(63, 32, 'Message Upper Address'),
    MessageData: hexField(79, 64, 'Message Data'),
    ExtendedMessageData: hexField(95, 80, 'Extended Message Data'),
  },
);

/** Per-vector masking: at 0ch after a 32-bit address, at 10h after one of 64 bits. */
export const MsiMask = entry(
  'MSI Mask and Pending Bits',
  { source: 'PCIe 6.0 §7.7.1.7, §7.7.1.8', bits: 64 },
  { MaskBits: hexField(31, 0, 'Mask Bits'), PendingBits: hexField(63, 32, 'Pending Bits') },
);

export const Msix = entry(
  'MSI-X Capability',
  { source: 'PCIe 6.0 §7.7.2', bits: 96 },
  {
    ...capabilityHeader,
    /** One less than the number of vectors. */
    TableSize: field(26, 16, 'Table Size'),
    RSVD_27: reserved(29, 27),
    FunctionMask: bit(30, 'Function Mask'),
    MSIXEnable: bit(31, 'MSI-X Enable'),
    TableBIR: field(34, 32, 'Table BIR'),
    /** In units of 8 bytes. */
    TableOffset: hexField(63, 35, 'Table Offset'),
    PBABIR: field(66, 64, 'PBA BIR'),
    PBAOffset: hexField(95, 67, 'PBA Offset'),
  },
);

/** Advanced Features: FLR for functions without PCI Express. */
export const AdvancedFeatures = entry(
  'Advanced Features Capability',
  { source: 'PCI ECN Advanced Capabilities for Conventional PCI', bits: 48 },
  {
    ...capabilityHeader,
    Length: u8(2, 'Length'),
    TP_CAP: bit(24, 'Transactions Pending Capability'),
    FLR_CAP: bit(25, 'Function Level Reset Capability'),
    RSVD_26: reserved(31, 26),
    INITIATE_FLR: bit(32, 'Initiate FLR'),
    RSVD_33: reserved(39, 33),
    TP: bit(40, 'Transactions Pending'),
    RSVD_41: reserved(47, 41),
  },
);

/** Subsystem of a bridge, which has no place for it in its header. */
export const BridgeSubsystem = entry(
  'Subsystem ID and Subsystem Vendor ID Capability',
  { source: 'PCI-to-PCI Bridge 1.2 §3.2.5.13', bits: 64 },
  {
    ...capabilityHeader,
    RSVD_16: reserved(31, 16),
    SSVID: hexField(47, 32, 'Subsystem Vendor ID'),
    SSID: hexField(63, 48, 'Subsystem ID'),
  },
);

/** Header of Enhanced Allocation; a bridge has EaBridge after it, and then all have their entries. */
export const EnhancedAllocation = entry(
  'Enhanced Allocation Capability',
  { source: 'PCIe 6.0 §7.8.5.1', bits: 32 },
  { ...capabilityHeader, NumEntries: field(21, 16, 'Num Entries'), RSVD_22: reserved(31, 22) },
);

export const EaBridge = entry(
  'Enhanced Allocation Fixed Buses',
  { source: 'PCIe 6.0 §7.8.5.2', bits: 32, offset: 4 },
  {
    FixedSecondaryBusNumber: u8(0, 'Fixed Secondary Bus Number'),
    FixedSubordinateBusNumber: u8(1, 'Fixed Subordinate Bus Number'),
    RSVD_16: reserved(31, 16),
  },
);

const eaProperties = {
  'memory space, non-prefetchable': 0,
  'memory space, prefetchable': 1,
  'I/O space': 2,
  'VF memory space, prefetchable': 3,
  'VF memory space, non-prefetchable': 4,
  'allocation behind bridge, non-prefetchable memory': 5,
  'allocation behind bridge, prefetchable memory': 6,
  'allocation behind bridge, I/O space': 7,
  'memory space resource unavailable for use': 0xfd,
  'I/O space resource unavailable for use': 0xfe,
  'entry unavailable for use': 0xff,
} as const;

/** First three words of an entry. Bit 1 of BaseLow and of MaxOffsetLow says that an upper half of each follows, in that order. */
export const EaEntry = entry(
  'Enhanced Allocation Entry',
  { source: 'PCIe 6.0 §7.8.5.3', bits: 96 },
  {
    /** Words after the first. */
    EntrySize: field(2, 0, 'Entry Size'),
    RSVD_3: reserved(3),
    BEI: field(7, 4, 'BAR Equivalent Indicator', {
      'BAR 0': 0,
      'BAR 1': 1,
      'BAR 2': 2,
      'BAR 3': 3,
      'BAR 4': 4,
      'BAR 5': 5,
      'resource behind function': 6,
      'not indicated': 7,
      'expansion ROM': 8,
      'VF-BAR 0': 9,
      'VF-BAR 1': 10,
      'VF-BAR 2': 11,
      'VF-BAR 3': 12,
      'VF-BAR 4': 13,
      'VF-BAR 5': 14,
      reserved: 15,
    }),
    PrimaryProperties: field(15, 8, 'Primary Properties', eaProperties),
    SecondaryProperties: field(23, 16, 'Secondary Properties', eaProperties),
    RSVD_24: reserved(29, 24),
    Writable: bit(30, 'Writable'),
    Enable: bit(31, 'Enable'),
    RSVD_32: reserved(32),
    BaseIs64: bit(33, 'Base of 64 bits'),
    Base: hexField(63, 34, 'Base'),
    RSVD_64: reserved(64),
    MaxOffsetIs64: bit(65, 'MaxOffset of 64 bits'),
    MaxOffset: hexField(95, 66, 'MaxOffset'),
  },
);
