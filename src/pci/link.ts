import { bit, entry, field, hexField, reserved, reservedBytes } from '../bits/entry.ts';
import { extendedHeader } from './capabilities.ts';

/** The lane equalization that follows is two bytes a lane. */
export const SecondaryPciExpress = entry(
  'Secondary PCI Express Extended Capability',
  { source: 'PCIe 6.0 §7.7.3', bits: 96 },
  {
    ...extendedHeader,
    PerformEqualization: bit(32, 'Perform Equalization'),
    LinkEqualizationRequestInterruptEnable: bit(33, 'Link Equalization Request Interrupt Enable'),
    RSVD_34: reserved(40, 34),
    EnableLowerSKPOSGeneration: hexField(47, 41, 'Enable Lower SKP OS Generation Vector'),
    RSVD_48: reserved(63, 48),
    /** Bit n: an error on lane n. */
    LaneErrorStatus: hexField(95, 64, 'Lane Error Status'),
  },
);

export const DataLinkFeature = entry(
  'Data Link Feature Extended Capability',
  { source: 'PCIe 6.0 §7.7.4', bits: 96 },
  {
    ...extendedHeader,
    LocalScaledFlowControl: bit(32, 'Local Scaled Flow Control Supported'),
    LocalDataLinkFeatures: hexField(54, 33, 'Further Local Data Link Features Supported'),
    RSVD_55: reserved(62, 55),
    DataLinkFeatureExchangeEnable: bit(63, 'Data Link Feature Exchange Enable'),
    RemoteScaledFlowControl: bit(64, 'Remote Scaled Flow Control Supported'),
    RemoteDataLinkFeatures: hexField(86, 65, 'Further Remote Data Link Features Supported'),
    RSVD_87: reserved(94, 87),
    RemoteDataLinkFeatureSupportedValid: bit(95, 'Remote Data Link Feature Supported Valid'),
  },
);

export const PhysicalLayer16 = entry(
  'Physical Layer 16.0 GT/s Extended Capability',
  { source: 'PCIe 6.0 §7.7.5', bits: 256 },
  {
    ...extendedHeader,
    RSVD_32: reservedBytes(4, 8),
    EqualizationComplete: bit(96, 'Equalization 16.0 GT/s Complete'),
    EqualizationPhase1Successful: bit(97, 'Equalization 16.0 GT/s Phase 1 Successful'),
    EqualizationPhase2Successful: bit(98, 'Equalization 16.0 GT/s Phase 2 Successful'),
    EqualizationPhase3Successful: bit(99, 'Equalization 16.0 GT/s Phase 3 Successful'),
    LinkEqualizationRequest: bit(100, 'Link Equalization Request 16.0 GT/s'),
    RSVD_101: reserved(127, 101),
    LocalDataParityMismatch: hexField(159, 128, 'Local Data Parity Mismatch Status'),
    FirstRetimerDataParityMismatch: hexField(191, 160, 'First Retimer Data Parity Mismatch Status'),
    SecondRetimerDataParityMismatch: hexField(223, 192, 'Second Retimer Data Parity Mismatch Status'),
    RSVD_224: reserved(255, 224),
  },
);

export const PhysicalLayer32 = entry(
  'Physical Layer 32.0 GT/s Extended Capability',
  { source: 'PCIe 6.0 §7.7.6', bits: 256 },
  {
    ...extendedHeader,
    EqualizationBypassSupported: bit(32, 'Equalization Bypass to Highest Rate Supported'),
    NoEqualizationNeededSupported: bit(33, 'No Equalization Needed Supported'),
    RSVD_34: reserved(39, 34),
    ModifiedTSUsageMode0: bit(40, 'Modified TS Usage Mode 0 Supported - PCI Express'),
    ModifiedTSUsageMode1: bit(41, 'Modified TS Usage Mode 1 Supported - Training Set Message'),
    ModifiedTSUsageMode2: bit(42, 'Modified TS Usage Mode 2 Supported - Alternate Protocol'),
    RSVD_43: reserved(63, 43),
    EqualizationBypassDisable: bit(64, 'Equalization Bypass to Highest Rate Disable'),
    NoEqualizationNeededDisable: bit(65, 'No Equalization Needed Disable'),
    RSVD_66: reserved(71, 66),
    ModifiedTSUsageModeSelected: field(74, 72, 'Modified TS Usage Mode Selected', {
      'PCI Express': 0,
      'Training Set Messages': 1,
      'Alternate Protocol Negotiation': 2,
    }),
    RSVD_75: reserved(95, 75),
    EqualizationComplete: bit(96, 'Equalization 32.0 GT/s Complete'),
    EqualizationPhase1Successful: bit(97, 'Equalization 32.0 GT/s Phase 1 Successful'),
    EqualizationPhase2Successful: bit(98, 'Equalization 32.0 GT/s Phase 2 Successful'),
    EqualizationPhase3Successful: bit(99, 'Equalization 32.0 GT/s Phase 3 Successful'),
    LinkEqualizationRequest: bit(100, 'Link Equalization Request 32.0 GT/s'),
    ModifiedTSReceived: bit(101, 'Modified TS Received'),
    ReceivedEnhancedLinkBehaviorControl: field(103, 102, 'Received Enhanced Link Behavior Control', {
      'full equalization required': 0,
      'equalization bypass to the highest rate': 1,
      'no equalization needed': 2,
      'modified TS1/TS2 supported': 3,
    }),
    TransmitterPrecodingOn: bit(104, 'Transmitter Precoding On'),
    TransmitterPrecodeRequest: bit(105, 'Transmitter Precode Request'),
    NoEqualizationNeededReceived: bit(106, 'No Equalization Needed Received'),
    RSVD_107: reserved(127, 107),
    ReceivedModifiedTSData1: hexField(159, 128, 'Received Modified TS Data 1'),
    ReceivedModifiedTSData2: hexField(191, 160, 'Received Modified TS Data 2'),
    TransmittedModifiedTSData1: hexField(223, 192, 'Transmitted Modified TS Data 1'),
    TransmittedModifiedTSData2: hexField(255, 224, 'Transmitted Modified TS Data 2'),
  },
);

export const PhysicalLayer64 = entry(
  'Physical Layer 64.0 GT/s Extended Capability',
  { source: 'PCIe 6.0 §7.7.7', bits: 128 },
  {
    ...extendedHeader,
    RSVD_32: reservedBytes(4, 8),
    EqualizationComplete: bit(96, 'Equalization 64.0 GT/s Complete'),
    EqualizationPhase1Successful: bit(97, 'Equalization 64.0 GT/s Phase 1 Successful'),
    EqualizationPhase2Successful: bit(98, 'Equalization 64.0 GT/s Phase 2 Successful'),
    EqualizationPhase3Successful: bit(99, 'Equalization 64.0 GT/s Phase 3 Successful'),
    LinkEqualizationRequest: bit(100, 'Link Equalization Request 64.0 GT/s'),
    TransmitterPrecodingOn: bit(101, 'Transmitter Precoding On'),
    TransmitterPrecodeRequest: bit(102, 'Transmitter Precode Request'),
    NoEqualizationNeededReceived: bit(103, 'No Equalization Needed Received'),
    RSVD_104: reserved(127, 104),
  },
);

/** Per-lane control and status, four bytes a lane, follow. */
export const LaneMargining = entry(
  'Lane Margining at the Receiver Extended Capability',
  { source: 'PCIe 6.0 §7.7.10', bits: 64 },
  {
    ...extendedHeader,
    MarginingUsesDriverSoftware: bit(32, 'Margining uses Driver Software'),
    RSVD_33: reserved(47, 33),
    MarginingReady: bit(48, 'Margining Ready'),
    MarginingSoftwareReady: bit(49, 'Margining Software Ready'),
    RSVD_50: reserved(63, 50),
  },
);

const latencyScales = { '1 ns': 0, '32 ns': 1, '1024 ns': 2, '32768 ns': 3, '1048576 ns': 4, '33554432 ns': 5 } as const;
const powerOnScales = { '2 us': 0, '10 us': 1, '100 us': 2 } as const;

export const Ltr = entry(
  'LTR Extended Capability',
  { source: 'PCIe 6.0 §7.8.2', bits: 64 },
  {
    ...extendedHeader,
    MaxSnoopLatencyValue: field(41, 32, 'Max Snoop Latency Value'),
    MaxSnoopLatencyScale: field(44, 42, 'Max Snoop Latency Scale', latencyScales),
    RSVD_45: reserved(47, 45),
    MaxNoSnoopLatencyValue: field(57, 48, 'Max No-Snoop Latency Value'),
    MaxNoSnoopLatencyScale: field(60, 58, 'Max No-Snoop Latency Scale', latencyScales),
    RSVD_61: reserved(63, 61),
  },
);

export const L1PmSubstates = entry(
  'L1 PM Substates Extended Capability',
  { source: 'PCIe 6.0 §7.8.3', bits: 128 },
  {
    ...extendedHeader,
    PCIPML12Supported: bit(32, 'PCI-PM L1.2 Supported'),
    PCIPML11Supported: bit(33, 'PCI-PM L1.1 Supported'),
    ASPML12Supported: bit(34, 'ASPM L1.2 Supported'),
    ASPML11Supported: bit(35, 'ASPM L1.1 Supported'),
    L1PMSubstatesSupported: bit(36, 'L1 PM Substates Supported'),
    LinkActivationSupported: bit(37, 'Link Activation Supported'),
    RSVD_38: reserved(39, 38),
    /** Microseconds. */
    PortCommonModeRestoreTime: field(47, 40, 'Port Common_Mode_Restore_Time (us)'),
    PortTPowerOnScale: field(49, 48, 'Port T_POWER_ON Scale', powerOnScales),
    RSVD_50: reserved(50),
    PortTPowerOnValue: field(55, 51, 'Port T_POWER_ON Value'),
    RSVD_56: reserved(63, 56),
    PCIPML12Enable: bit(64, 'PCI-PM L1.2 Enable'),
    PCIPML11Enable: bit(65, 'PCI-PM L1.1 Enable'),
    ASPML12Enable: bit(66, 'ASPM L1.2 Enable'),
    ASPML11Enable: bit(67, 'ASPM L1.1 Enable'),
    LinkActivationInterruptEnable: bit(68, 'Link Activation Interrupt Enable'),
    LinkActivationControl: bit(69, 'Link Activation Control'),
    RSVD_70: reserved(71, 70),
    /** Microseconds. */
    CommonModeRestoreTime: field(79, 72, 'Common_Mode_Restore_Time (us)'),
    LTRL12ThresholdValue: field(89, 80, 'LTR_L1.2_THRESHOLD_Value'),
    RSVD_90: reserved(92, 90),
    LTRL12ThresholdScale: field(95, 93, 'LTR_L1.2_THRESHOLD_Scale', latencyScales),
    TPowerOnScale: field(97, 96, 'T_POWER_ON Scale', powerOnScales),
    RSVD_98: reserved(98),
    TPowerOnValue: field(103, 99, 'T_POWER_ON Value'),
    RSVD_104: reserved(127, 104),
  },
);

export const Ptm = entry(
  'PTM Extended Capability',
  { source: 'PCIe 6.0 §7.9.15', bits: 96 },
  {
    ...extendedHeader,
    PTMRequesterCapable: bit(32, 'PTM Requester Capable'),
    PTMResponderCapable: bit(33, 'PTM Responder Capable'),
    PTMRootCapable: bit(34, 'PTM Root Capable'),
    EPTMCapable: bit(35, 'ePTM Capable'),
    PTMPropagationDelayAdaptation: bit(36, 'PTM Propagation Delay Adaptation Capable'),
    RSVD_37: reserved(39, 37),
    LocalClockGranularity: field(47, 40, 'Local Clock Granularity (ns)', { 'no local clock': 0, 'more than 254': 255 }),
    RSVD_48: reserved(63, 48),
    PTMEnable: bit(64, 'PTM Enable'),
    RootSelect: bit(65, 'Root Select'),
    RSVD_66: reserved(71, 66),
    EffectiveGranularity: field(79, 72, 'Effective Granularity (ns)', { unknown: 0, 'more than 254': 255 }),
    RSVD_80: reserved(95, 80),
  },
);

/** When the steering table lies in the capability its entries, two bytes each, follow. */
export const TphRequester = entry(
  'TPH Requester Extended Capability',
  { source: 'PCIe 6.0 §7.9.13', bits: 96 },
  {
    ...extendedHeader,
    NoSTModeSupported: bit(32, 'No ST Mode Supported'),
    InterruptVectorModeSupported: bit(33, 'Interrupt Vector Mode Supported'),
    DeviceSpecificModeSupported: bit(34, 'Device Specific Mode Supported'),
    RSVD_35: reserved(39, 35),
    ExtendedTPHRequesterSupported: bit(40, 'Extended TPH Requester Supported'),
    STTableLocation: field(42, 41, 'ST Table Location', { none: 0, 'in this capability': 1, 'in the MSI-X table': 2 }),
    RSVD_43: reserved(47, 43),
    /** One less than the entries. */
    STTableSize: field(58, 48, 'ST Table Size'),
    RSVD_59: reserved(63, 59),
    STModeSelect: field(66, 64, 'ST Mode Select', { 'no ST': 0, 'interrupt vector': 1, 'device specific': 2 }),
    RSVD_67: reserved(71, 67),
    TPHRequesterEnable: field(73, 72, 'TPH Requester Enable', { disabled: 0, TPH: 1, 'TPH and Extended TPH': 3 }),
    RSVD_74: reserved(95, 74),
  },
);
