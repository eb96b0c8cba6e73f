import { bit, entry, field, hexField, reserved, u8, u16 } from '../bits/entry.ts';
import { extendedHeader } from './capabilities.ts';

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
    ...extendedHeader,
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
    ...extendedHeader,
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
    ...extendedHeader,
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
    VFDeviceID: hexField(223, 208, 'VF Device ID'),
    /** Bit n: pages of 2^(n+12) bytes. */
    SupportedPageSizes: hexField(255, 224, 'Supported Page Sizes'),
    SystemPageSize: hexField(287, 256, 'System Page Size'),
    VFBAR0: hexField(319, 288, 'VF BAR0'),
    VFBAR1: hexField(351, 320, 'VF BAR1'),
    VFBAR2: hexField(383, 352, 'VF BAR2'),
    VFBAR3: hexField(415, 384, 'VF BAR3'),
    VFBAR4: hexField(447, 416, 'VF BAR4'),
    VFBAR5: hexField(479, 448, 'VF BAR5'),
    VFMigrationStateBIR: field(482, 480, 'VF Migration State BIR'),
    VFMigrationStateOffset: hexField(511, 483, 'VF Migration State Offset'),
  },
);

export const Ats = entry(
  'ATS Extended Capability',
  { source: 'PCIe 6.0 §10.5.1', bits: 64 },
  {
    ...extendedHeader,
    /** 0 stands for 32. */
    InvalidateQueueDepth: field(36, 32, 'Invalidate Queue Depth'),
    PageAlignedRequest: bit(37, 'Page Aligned Request'),
    GlobalInvalidateSupported: bit(38, 'Global Invalidate Supported'),
    RelaxedOrderingSupported: bit(39, 'Relaxed Ordering Supported'),
    RSVD_40: reserved(47, 40),
    /** Pages of 2^(STU+12) bytes. */
    STU: field(52, 48, 'Smallest Translation Unit'),
    RSVD_53: reserved(62, 53),
    E: bit(63, 'Enable'),
  },
);

export const Pri = entry(
  'Page Request Extended Capability',
  { source: 'PCIe 6.0 §10.5.2', bits: 128 },
  {
    ...extendedHeader,
    E: bit(32, 'Enable'),
    R: bit(33, 'Reset'),
    RSVD_34: reserved(47, 34),
    RF: bit(48, 'Response Failure'),
    UPRGI: bit(49, 'Unexpected Page Request Group Index'),
    RSVD_50: reserved(55, 50),
    S: bit(56, 'Stopped'),
    RSVD_57: reserved(62, 57),
    PRGResponsePASIDRequired: bit(63, 'PRG Response PASID Required'),
    OutstandingPageRequestCapacity: field(95, 64, 'Outstanding Page Request Capacity'),
    OutstandingPageRequestAllocation: field(127, 96, 'Outstanding Page Request Allocation'),
  },
);

export const Pasid = entry(
  'PASID Extended Capability',
  { source: 'PCIe 6.0 §7.8.9', bits: 64 },
  {
    ...extendedHeader,
    RSVD_32: reserved(32),
    ExecutePermissionSupported: bit(33, 'Execute Permission Supported'),
    PrivilegedModeSupported: bit(34, 'Privileged Mode Supported'),
    TranslatedRequestsWithPASIDSupported: bit(35, 'Translated Requests with PASID Supported'),
    RSVD_36: reserved(39, 36),
    MaxPASIDWidth: field(44, 40, 'Max PASID Width'),
    RSVD_45: reserved(47, 45),
    PASIDEnable: bit(48, 'PASID Enable'),
    ExecutePermissionEnable: bit(49, 'Execute Permission Enable'),
    PrivilegedModeEnable: bit(50, 'Privileged Mode Enable'),
    TranslatedRequestsWithPASIDEnable: bit(51, 'Translated Requests with PASID Enable'),
    RSVD_52: reserved(63, 52),
  },
);

/**
 * One BAR of a Resizable BAR or VF Resizable BAR Extended Capability; the first stands 4 bytes after the start of the
 * capability. Sizes count from 1 MB = 0: bit n of the two masks, and BARSize, stand for 2^(n+20) bytes.
 */
export const ResizableBar = entry(
  'Resizable BAR',
  { source: 'PCIe 6.0 §7.8.6, §7.8.7', bits: 64 },
  {
    RSVD_0: reserved(3, 0),
    SizesSupported: hexField(31, 4, 'Sizes Supported (1 MB to 128 TB)'),
    BARIndex: field(34, 32, 'BAR Index'),
    RSVD_35: reserved(36, 35),
    /** Only in the first. */
    NumberOfResizableBARs: field(39, 37, 'Number of Resizable BARs'),
    BARSize: field(45, 40, 'BAR Size'),
    RSVD_46: reserved(47, 46),
    SizesSupportedUpper: hexField(63, 48, 'Sizes Supported (256 TB to 8 EB)'),
  },
);
