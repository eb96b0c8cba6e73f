import { bit, entry, field, hexField, reserved } from '../bits/entry.ts';
import { extendedHeader } from './capabilities.ts';

/** Status at 04h, mask at 08h and severity (1: fatal) at 0ch of the AER capability have the same bits. */
export const UncorrectableErrors = entry(
  'Uncorrectable Errors',
  { source: 'PCIe 6.0 §7.8.4.2 to §7.8.4.4', bits: 32 },
  {
    Undefined_0: reserved(0),
    RSVD_1: reserved(3, 1),
    DLP: bit(4, 'Data Link Protocol Error'),
    SDES: bit(5, 'Surprise Down Error'),
    RSVD_6: reserved(11, 6),
    PoisonedTLP: bit(12, 'Poisoned TLP Received'),
    FCP: bit(13, 'Flow Control Protocol Error'),
    CompletionTimeout: bit(14, 'Completion Timeout'),
    CompleterAbort: bit(15, 'Completer Abort'),
    UnexpectedCompletion: bit(16, 'Unexpected Completion'),
    ReceiverOverflow: bit(17, 'Receiver Overflow'),
    MalformedTLP: bit(18, 'Malformed TLP'),
    ECRC: bit(19, 'ECRC Error'),
    UnsupportedRequest: bit(20, 'Unsupported Request Error'),
    ACSViolation: bit(21, 'ACS Violation'),
    UncorrectableInternalError: bit(22, 'Uncorrectable Internal Error'),
    MCBlockedTLP: bit(23, 'MC Blocked TLP'),
    AtomicOpEgressBlocked: bit(24, 'AtomicOp Egress Blocked'),
    TLPPrefixBlocked: bit(25, 'TLP Prefix Blocked Error'),
    PoisonedTLPEgressBlocked: bit(26, 'Poisoned TLP Egress Blocked'),
    DMWrRequestEgressBlocked: bit(27, 'DMWr Request Egress Blocked'),
    IDECheckFailed: bit(28, 'IDE Check Failed'),
    MisroutedIDETLP: bit(29, 'Misrouted IDE TLP'),
    PCRCCheckFailed: bit(30, 'PCRC Check Failed'),
    TLPTranslationEgressBlocked: bit(31, 'TLP Translation Egress Blocked'),
  },
);

/** Status at 10h and mask at 14h have the same bits. */
export const CorrectableErrors = entry(
  'Correctable Errors',
  { source: 'PCIe 6.0 §7.8.4.5, §7.8.4.6', bits: 32 },
  {
    ReceiverError: bit(0, 'Receiver Error'),
    RSVD_1: reserved(5, 1),
    BadTLP: bit(6, 'Bad TLP'),
    BadDLLP: bit(7, 'Bad DLLP'),
    REPLAY_NUMRollover: bit(8, 'REPLAY_NUM Rollover'),
    RSVD_9: reserved(11, 9),
    ReplayTimerTimeout: bit(12, 'Replay Timer Timeout'),
    AdvisoryNonFatalError: bit(13, 'Advisory Non-Fatal Error'),
    CorrectedInternalError: bit(14, 'Corrected Internal Error'),
    HeaderLogOverflow: bit(15, 'Header Log Overflow'),
    RSVD_16: reserved(31, 16),
  },
);

/** Advanced Error Capabilities and Control, and the log of the header that the first error was about. */
export const AerControl = entry(
  'Advanced Error Capabilities and Control, Header Log',
  { source: 'PCIe 6.0 §7.8.4.7, §7.8.4.8', bits: 160, offset: 0x18 },
  {
    FirstErrorPointer: field(4, 0, 'First Error Pointer'),
    ECRCGenerationCapable: bit(5, 'ECRC Generation Capable'),
    ECRCGenerationEnable: bit(6, 'ECRC Generation Enable'),
    ECRCCheckCapable: bit(7, 'ECRC Check Capable'),
    ECRCCheckEnable: bit(8, 'ECRC Check Enable'),
    MultipleHeaderRecordingCapable: bit(9, 'Multiple Header Recording Capable'),
    MultipleHeaderRecordingEnable: bit(10, 'Multiple Header Recording Enable'),
    TLPPrefixLogPresent: bit(11, 'TLP Prefix Log Present'),
    CompletionTimeoutLogCapable: bit(12, 'Completion Timeout Prefix/Header Log Capable'),
    HeaderLogSize: field(17, 13, 'Header Log Size'),
    LoggedTLPWasFlitMode: bit(18, 'Logged TLP was Flit Mode'),
    LoggedTLPSize: field(23, 19, 'Logged TLP Size'),
    RSVD_24: reserved(31, 24),
    HeaderLog0: hexField(63, 32, 'Header Log, DW 1'),
    HeaderLog1: hexField(95, 64, 'Header Log, DW 2'),
    HeaderLog2: hexField(127, 96, 'Header Log, DW 3'),
    HeaderLog3: hexField(159, 128, 'Header Log, DW 4'),
  },
);

/** Of root ports and event collectors. */
export const AerRoot = entry(
  'Root Error Command, Status and Source',
  { source: 'PCIe 6.0 §7.8.4.9 to §7.8.4.11', bits: 96, offset: 0x2c },
  {
    CorrectableErrorReportingEnable: bit(0, 'Correctable Error Reporting Enable'),
    NonFatalErrorReportingEnable: bit(1, 'Non-Fatal Error Reporting Enable'),
    FatalErrorReportingEnable: bit(2, 'Fatal Error Reporting Enable'),
    RSVD_3: reserved(31, 3),
    ERR_CORReceived: bit(32, 'ERR_COR Received'),
    MultipleERR_CORReceived: bit(33, 'Multiple ERR_COR Received'),
    ERR_FATAL_NONFATALReceived: bit(34, 'ERR_FATAL/NONFATAL Received'),
    MultipleERR_FATAL_NONFATALReceived: bit(35, 'Multiple ERR_FATAL/NONFATAL Received'),
    FirstUncorrectableFatal: bit(36, 'First Uncorrectable Fatal'),
    NonFatalErrorMessagesReceived: bit(37, 'Non-Fatal Error Messages Received'),
    FatalErrorMessagesReceived: bit(38, 'Fatal Error Messages Received'),
    ERR_CORSubclass: field(40, 39, 'ERR_COR Subclass'),
    RSVD_41: reserved(58, 41),
    InterruptMessageNumber: field(63, 59, 'Advanced Error Interrupt Message Number'),
    ERR_CORSourceIdentification: hexField(79, 64, 'ERR_COR Source Identification'),
    ERR_FATAL_NONFATALSourceIdentification: hexField(95, 80, 'ERR_FATAL/NONFATAL Source Identification'),
  },
);

export const Dpc = entry(
  'DPC Extended Capability',
  { source: 'PCIe 6.0 §7.9.14', bits: 96 },
  {
    ...extendedHeader,
    InterruptMessageNumber: field(36, 32, 'DPC Interrupt Message Number'),
    RPExtensions: bit(37, 'RP Extensions for DPC'),
    PoisonedTLPEgressBlockingSupported: bit(38, 'Poisoned TLP Egress Blocking Supported'),
    SoftwareTriggeringSupported: bit(39, 'DPC Software Triggering Supported'),
    /** Its fifth bit is RPPIOLogSize4. */
    RPPIOLogSize: field(43, 40, 'RP PIO Log Size'),
    DL_ActiveERR_CORSignalingSupported: bit(44, 'DL_Active ERR_COR Signaling Supported'),
    RPPIOLogSize4: bit(45, 'RP PIO Log Size, bit 4'),
    RSVD_46: reserved(47, 46),
    TriggerEnable: field(49, 48, 'DPC Trigger Enable', { disabled: 0, ERR_FATAL: 1, 'ERR_NONFATAL or ERR_FATAL': 2 }),
    CompletionControl: field(50, 50, 'DPC Completion Control', { CA: 0, UR: 1 }),
    InterruptEnable: bit(51, 'DPC Interrupt Enable'),
    ERR_COREnable: bit(52, 'DPC ERR_COR Enable'),
    PoisonedTLPEgressBlockingEnable: bit(53, 'Poisoned TLP Egress Blocking Enable'),
    SoftwareTrigger: bit(54, 'DPC Software Trigger'),
    DL_ActiveERR_COREnable: bit(55, 'DL_Active ERR_COR Enable'),
    SIG_SFWEnable: bit(56, 'DPC SIG_SFW Enable'),
    RSVD_57: reserved(63, 57),
    TriggerStatus: bit(64, 'DPC Trigger Status'),
    TriggerReason: field(66, 65, 'DPC Trigger Reason', {
      'uncorrectable error': 0,
      ERR_NONFATAL: 1,
      ERR_FATAL: 2,
      'see the extension': 3,
    }),
    InterruptStatus: bit(67, 'DPC Interrupt Status'),
    RPBusy: bit(68, 'DPC RP Busy'),
    TriggerReasonExtension: field(70, 69, 'DPC Trigger Reason Extension', { 'RP PIO error': 0, 'software trigger': 1 }),
    RSVD_71: reserved(71),
    RPPIOFirstErrorPointer: field(76, 72, 'RP PIO First Error Pointer'),
    SIG_SFWStatus: bit(77, 'DPC SIG_SFW Status'),
    RSVD_78: reserved(79, 78),
    ErrorSourceID: hexField(95, 80, 'DPC Error Source ID'),
  },
);

/** What follows when the port has RP Extensions; the header log after it is as long as RP PIO Log Size says. */
export const DpcRootPort = entry(
  'DPC Root Port Extensions',
  { source: 'PCIe 6.0 §7.9.14.6 to §7.9.14.10', bits: 160, offset: 0x0c },
  {
    RPPIOStatus: hexField(31, 0, 'RP PIO Status'),
    RPPIOMask: hexField(63, 32, 'RP PIO Mask'),
    RPPIOSeverity: hexField(95, 64, 'RP PIO Severity'),
    RPPIOSysError: hexField(127, 96, 'RP PIO SysError'),
    RPPIOException: hexField(159, 128, 'RP PIO Exception'),
  },
);
