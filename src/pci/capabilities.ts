import { bit, entry, field, reserved, u8, u16, u32 } from '../bits/entry.ts';

/** A capability in the first 256 bytes starts with this. */
export const CapabilityHeader = entry(
  'Capability Header',
  { source: 'PCIe 6.0 §7.5.3.1', bits: 16 },
  { CapabilityID: u8(0, 'Capability ID'), NextCapabilityPointer: u8(1, 'Next Capability Pointer') },
);

/** One beyond 256 bytes with this. */
export const ExtendedCapabilityHeader = entry(
  'Extended Capability Header',
  { source: 'PCIe 6.0 §7.6.3', bits: 32 },
  {
    ExtendedCapabilityID: field(15, 0, 'PCI Express Extended Capability ID'),
    CapabilityVersion: field(19, 16, 'Capability Version'),
    NextCapabilityOffset: field(31, 20, 'Next Capability Offset'),
  },
);

export const PowerManagement = entry(
  'PCI Power Management Capability',
  { source: 'PCIe 6.0 §7.5.2', bits: 64 },
  {
    CapabilityID: u8(0, 'Capability ID'),
    NextCapabilityPointer: u8(1, 'Next Capability Pointer'),
    Version: field(18, 16, 'Version'),
    PMEClock: bit(19, 'PME Clock'),
    ImmediateReadinessOnReturnToD0: bit(20, 'Immediate Readiness on Return to D0'),
    DSI: bit(21, 'Device Specific Initialization'),
    AuxCurrent: field(24, 22, 'Aux Current'),
    D1_Support: bit(25, 'D1 Support'),
    D2_Support: bit(26, 'D2 Support'),
    PME_Support: field(31, 27, 'PME Support'),
    PowerState: field(33, 32, 'Power State', { D0: 0, D1: 1, D2: 2, D3hot: 3 }),
    RSVD_34: reserved(34),
    No_Soft_Reset: bit(35, 'No Soft Reset'),
    RSVD_36: reserved(39, 36),
    PME_En: bit(40, 'PME Enable'),
    Data_Select: field(44, 41, 'Data Select'),
    Data_Scale: field(46, 45, 'Data Scale'),
    PME_Status: bit(47, 'PME Status'),
    RSVD_48: reserved(55, 48),
    Data: u8(7, 'Data'),
  },
);

/** The part of MSI that does not depend on its own flags: header and Message Control. */
export const Msi = entry(
  'MSI Capability',
  { source: 'PCIe 6.0 §7.7.1', bits: 32 },
  {
    CapabilityID: u8(0, 'Capability ID'),
    NextCapabilityPointer: u8(1, 'Next Capability Pointer'),
    MSIEnable: bit(16, 'MSI Enable'),
    MultipleMessageCapable: field(19, 17, 'Multiple Message Capable'),
    MultipleMessageEnable: field(22, 20, 'Multiple Message Enable'),
    AddressCapable64: bit(23, '64-bit Address Capable'),
    PerVectorMaskingCapable: bit(24, 'Per-Vector Masking Capable'),
    ExtendedMessageDataCapable: bit(25, 'Extended Message Data Capable'),
    ExtendedMessageDataEnable: bit(26, 'Extended Message Data Enable'),
    RSVD_27: reserved(31, 27),
  },
);

export const Msix = entry(
  'MSI-X Capability',
  { source: 'PCIe 6.0 §7.7.2', bits: 96 },
  {
    CapabilityID: u8(0, 'Capability ID'),
    NextCapabilityPointer: u8(1, 'Next Capability Pointer'),
    /** One less than the number of vectors. */
    TableSize: field(26, 16, 'Table Size'),
    RSVD_27: reserved(29, 27),
    FunctionMask: bit(30, 'Function Mask'),
    MSIXEnable: bit(31, 'MSI-X Enable'),
    TableBIR: field(34, 32, 'Table BIR'),
    /** In units of 8 bytes. */
    TableOffset: field(63, 35, 'Table Offset'),
    PBABIR: field(66, 64, 'PBA BIR'),
    PBAOffset: field(95, 67, 'PBA Offset'),
  },
);

/** The registers that every version of the capability has. */
export const PciExpress = entry(
  'PCI Express Capability',
  { source: 'PCIe 6.0 §7.5.3', bits: 96 },
  {
    CapabilityID: u8(0, 'Capability ID'),
    NextCapabilityPointer: u8(1, 'Next Capability Pointer'),
    CapabilityVersion: field(19, 16, 'Capability Version'),
    DevicePortType: field(23, 20, 'Device/Port Type', {
      endpoint: 0,
      legacyEndpoint: 1,
      rootPort: 4,
      upstreamPort: 5,
      downstreamPort: 6,
      bridgeToPci: 7,
      bridgeFromPci: 8,
      integratedEndpoint: 9,
      eventCollector: 10,
    }),
    SlotImplemented: bit(24, 'Slot Implemented'),
    InterruptMessageNumber: field(29, 25, 'Interrupt Message Number'),
    RSVD_30: reserved(31, 30),
    MaxPayloadSizeSupported: field(34, 32, 'Max_Payload_Size Supported'),
    PhantomFunctionsSupported: field(36, 35, 'Phantom Functions Supported'),
    ExtendedTagFieldSupported: bit(37, 'Extended Tag Field Supported'),
    EndpointL0sAcceptableLatency: field(40, 38, 'Endpoint L0s Acceptable Latency'),
    EndpointL1AcceptableLatency: field(43, 41, 'Endpoint L1 Acceptable Latency'),
    Undefined: field(46, 44, 'Undefined'),
    RoleBasedErrorReporting: bit(47, 'Role-Based Error Reporting'),
    ERR_CORSubclassCapable: bit(48, 'ERR_COR Subclass Capable'),
    RxMPSFixed: bit(49, 'Rx_MPS_Fixed'),
    CapturedSlotPowerLimitValue: field(57, 50, 'Captured Slot Power Limit Value'),
    CapturedSlotPowerLimitScale: field(59, 58, 'Captured Slot Power Limit Scale'),
    FunctionLevelResetCapability: bit(60, 'Function Level Reset Capability'),
    MixedMPSSupported: bit(61, 'Mixed_MPS_Supported'),
    TEEIOSupported: bit(62, 'TEE-IO Supported'),
    RSVD_63: reserved(63),
    DeviceControl: field(78, 64, 'Device Control'),
    /** Reads as zero. On a bridge to PCI the bit is Bridge Configuration Retry Enable. */
    InitiateFunctionLevelReset: bit(79, 'Initiate Function Level Reset'),
    DeviceStatus: field(95, 80, 'Device Status'),
  },
);

/** Device Capabilities 2 and Device Control 2, at 24h of a PCI Express Capability of version 2. */
export const PciExpress2 = entry(
  'Device Capabilities 2 and Control 2',
  { source: 'PCIe 6.0 §7.5.3.15, §7.5.3.16', bits: 48, offset: 0x24 },
  {
    CompletionTimeoutRangesSupported: field(3, 0, 'Completion Timeout Ranges Supported'),
    CompletionTimeoutDisableSupported: bit(4, 'Completion Timeout Disable Supported'),
    ARIForwardingSupported: bit(5, 'ARI Forwarding Supported'),
    DeviceCapabilities2_6: field(31, 6, 'Further capabilities'),
    CompletionTimeoutValue: field(35, 32, 'Completion Timeout Value'),
    CompletionTimeoutDisable: bit(36, 'Completion Timeout Disable'),
    ARIForwardingEnable: bit(37, 'ARI Forwarding Enable'),
    DeviceControl2_6: field(47, 38, 'Further controls'),
  },
);

/** Advanced Features: FLR for functions without PCI Express. */
export const AdvancedFeatures = entry(
  'Advanced Features Capability',
  { source: 'PCI ECN Advanced Capabilities for Conventional PCI', bits: 48 },
  {
    CapabilityID: u8(0, 'Capability ID'),
    NextCapabilityPointer: u8(1, 'Next Capability Pointer'),
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
    CapabilityID: u8(0, 'Capability ID'),
    NextCapabilityPointer: u8(1, 'Next Capability Pointer'),
    RSVD_16: reserved(31, 16),
    SSVID: u16(4, 'Subsystem Vendor ID'),
    SSID: u16(6, 'Subsystem ID'),
  },
);

const acsBits = {
  V: 'Source Validation',
  B: 'Translation Blocking',
  R: 'P2P Request Redirect',
  C: 'P2P Completion Redirect',
  U: 'Upstream Forwarding',
  E: 'P2P Egress Control',
  T: 'Direct Translated P2P',
} as const;

/** What the port could do is in the bits without suffix; what it does, and what decides the groups, in those with `En`. */
export const Acs = entry(
  'ACS Extended Capability',
  { source: 'PCIe 6.0 §7.7.11', bits: 64 },
  {
    ExtendedCapabilityID: field(15, 0, 'PCI Express Extended Capability ID'),
    CapabilityVersion: field(19, 16, 'Capability Version'),
    NextCapabilityOffset: field(31, 20, 'Next Capability Offset'),
    V: bit(32, acsBits.V),
    B: bit(33, acsBits.B),
    R: bit(34, acsBits.R),
    C: bit(35, acsBits.C),
    U: bit(36, acsBits.U),
    E: bit(37, acsBits.E),
    T: bit(38, acsBits.T),
    EnhancedCapability: bit(39, 'ACS Enhanced Capability'),
    EgressControlVectorSize: field(47, 40, 'Egress Control Vector Size'),
    VEn: bit(48, `${acsBits.V} Enable`),
    BEn: bit(49, `${acsBits.B} Enable`),
    REn: bit(50, `${acsBits.R} Enable`),
    CEn: bit(51, `${acsBits.C} Enable`),
    UEn: bit(52, `${acsBits.U} Enable`),
    EEn: bit(53, `${acsBits.E} Enable`),
    TEn: bit(54, `${acsBits.T} Enable`),
    IORequestBlockingEnable: bit(55, 'ACS I/O Request Blocking Enable'),
    DSPMemoryTargetAccess: field(57, 56, 'ACS DSP Memory Target Access Control'),
    USPMemoryTargetAccess: field(59, 58, 'ACS USP Memory Target Access Control'),
    UnclaimedRequestRedirect: bit(60, 'ACS Unclaimed Request Redirect Control'),
    RSVD_61: reserved(63, 61),
  },
);

export const Ari = entry(
  'ARI Extended Capability',
  { source: 'PCIe 6.0 §7.8.8', bits: 64 },
  {
    ExtendedCapabilityID: field(15, 0, 'PCI Express Extended Capability ID'),
    CapabilityVersion: field(19, 16, 'Capability Version'),
    NextCapabilityOffset: field(31, 20, 'Next Capability Offset'),
    M: bit(32, 'MFVC Function Groups Capability'),
    A: bit(33, 'ACS Function Groups Capability'),
    RSVD_34: reserved(39, 34),
    NextFunctionNumber: field(47, 40, 'Next Function Number'),
    MEn: bit(48, 'MFVC Function Groups Enable'),
    AEn: bit(49, 'ACS Function Groups Enable'),
    RSVD_50: reserved(51, 50),
    FunctionGroup: field(54, 52, 'Function Group'),
    RSVD_55: reserved(63, 55),
  },
);

export const Sriov = entry(
  'SR-IOV Extended Capability',
  { source: 'PCIe 6.0 §9.3.3', bits: 512 },
  {
    ExtendedCapabilityID: field(15, 0, 'PCI Express Extended Capability ID'),
    CapabilityVersion: field(19, 16, 'Capability Version'),
    NextCapabilityOffset: field(31, 20, 'Next Capability Offset'),
    VFMigrationCapable: bit(32, 'VF Migration Capable'),
    ARICapableHierarchyPreserved: bit(33, 'ARI Capable Hierarchy Preserved'),
    VF10BitTagRequesterSupported: bit(34, 'VF 10-Bit Tag Requester Supported'),
    VF14BitTagRequesterSupported: bit(35, 'VF 14-Bit Tag Requester Supported'),
    RSVD_36: reserved(52, 36),
    VFMigrationInterruptMessageNumber: field(63, 53, 'VF Migration Interrupt Message Number'),
    VFEnable: bit(64, 'VF Enable'),
    VFMigrationEnable: bit(65, 'VF Migration Enable'),
    VFMigrationInterruptEnable: bit(66, 'VF Migration Interrupt Enable'),
    VFMSE: bit(67, 'VF Memory Space Enable'),
    ARICapableHierarchy: bit(68, 'ARI Capable Hierarchy'),
    VF10BitTagRequesterEnable: bit(69, 'VF 10-Bit Tag Requester Enable'),
    VF14BitTagRequesterEnable: bit(70, 'VF 14-Bit Tag Requester Enable'),
    RSVD_71: reserved(79, 71),
    VFMigrationStatus: bit(80, 'VF Migration Status'),
    RSVD_81: reserved(95, 81),
    InitialVFs: u16(0x0c, 'InitialVFs'),
    TotalVFs: u16(0x0e, 'TotalVFs'),
    NumVFs: u16(0x10, 'NumVFs'),
    FunctionDependencyLink: u8(0x12, 'Function Dependency Link'),
    RSVD_152: reserved(159, 152),
    FirstVFOffset: u16(0x14, 'First VF Offset'),
    VFStride: u16(0x16, 'VF Stride'),
    RSVD_192: reserved(207, 192),
    VFDeviceID: u16(0x1a, 'VF Device ID'),
    /** Bit n: pages of 2^(n+12) bytes. */
    SupportedPageSizes: u32(0x1c, 'Supported Page Sizes'),
    SystemPageSize: u32(0x20, 'System Page Size'),
    VFBAR0: u32(0x24, 'VF BAR0'),
    VFBAR1: u32(0x28, 'VF BAR1'),
    VFBAR2: u32(0x2c, 'VF BAR2'),
    VFBAR3: u32(0x30, 'VF BAR3'),
    VFBAR4: u32(0x34, 'VF BAR4'),
    VFBAR5: u32(0x38, 'VF BAR5'),
    VFMigrationStateBIR: field(482, 480, 'VF Migration State BIR'),
    VFMigrationStateOffset: field(511, 483, 'VF Migration State Offset'),
  },
);
