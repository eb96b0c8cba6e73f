import {
  Acs,
  AerControl,
  AerRoot,
  Ari,
  Ats,
  type Config,
  CorrectableErrors,
  Dpc,
  decodeBars,
  EXTENDED,
  LaneMargining,
  Pasid,
  PhysicalLayer16,
  PhysicalLayer64,
  Pri,
  portType,
  resizableBars,
  Sriov,
  type Structure,
  TphRequester,
  UncorrectableErrors,
  VendorSpecificExtended,
} from '../../src/pci/index.ts';
import type { Lines, Words } from './pci-conventional.ts';
import { doe, dvsec, eventCollector, multicast, rootComplexLink, serialNumber, virtualChannel } from './pci-fabric.ts';
import { device3, equalization, l1pm, ltr, physicalLayer32, ptm, secondary } from './pci-link.ts';
import { fill, hex, need, read } from './pci-words.ts';

/** A heading, and lines of templates over one structure. Where it was not read whole lspci prints the heading alone. */
function simple(structure: Structure, heading: string, ...templates: string[]): Words {
  return (config, at) => {
    const own = read(config, structure, at);
    return own ? [fill(heading, own), ...templates.map((template) => fill(template, own, structure))] : [undefined];
  };
}

function aer(config: Config, at: number): Lines {
  const uncorrectable = (name: string, offset: number) =>
    fill(
      `\t\t${name}:\tDLP{DLP} SDES{SDES} TLP{PoisonedTLP} FCP{FCP} CmpltTO{CompletionTimeout} CmpltAbrt{CompleterAbort} UnxCmplt{UnexpectedCompletion} RxOF{ReceiverOverflow} MalfTLP{MalformedTLP}\n\t\t\tECRC{ECRC} UnsupReq{UnsupportedRequest} ACSViol{ACSViolation} UncorrIntErr{UncorrectableInternalError} BlockedTLP{MCBlockedTLP} AtomicOpBlocked{AtomicOpEgressBlocked} TLPBlockedErr{TLPPrefixBlocked}\n\t\t\tPoisonTLPBlocked{PoisonedTLPEgressBlocked} DMWrReqBlocked{DMWrRequestEgressBlocked} IDECheck{IDECheckFailed} MisIDETLP{MisroutedIDETLP} PCRC_CHECK{PCRCCheckFailed} TLPXlatBlocked{TLPTranslationEgressBlocked}`,
      need(config, UncorrectableErrors, at + offset),
    ).split('\n');
  const correctable = (name: string, offset: number) =>
    fill(
      `\t\t${name}:\tRxErr{ReceiverError} BadTLP{BadTLP} BadDLLP{BadDLLP} Rollover{REPLAY_NUMRollover} Timeout{ReplayTimerTimeout} AdvNonFatalErr{AdvisoryNonFatalError} CorrIntErr{CorrectedInternalError} HeaderOF{HeaderLogOverflow}`,
      need(config, CorrectableErrors, at + offset),
    );
  const control = read(config, AerControl, at);
  if (!control) return ['Advanced Error Reporting'];
  const port = portType(config);
  const root = port === 'rootPort' || port === 'eventCollector' ? read(config, AerRoot, at) : undefined;
  return [
    'Advanced Error Reporting',
    ...uncorrectable('UESta', 4),
    ...uncorrectable('UEMsk', 8),
    ...uncorrectable('UESvrt', 12),
    correctable('CESta', 16),
    correctable('CEMsk', 20),
    fill(
      '\t\tAERCap:\tFirst Error Pointer: {FirstErrorPointer:x2}, ECRCGenCap{ECRCGenerationCapable} ECRCGenEn{ECRCGenerationEnable} ECRCChkCap{ECRCCheckCapable} ECRCChkEn{ECRCCheckEnable}',
      control,
    ),
    fill(
      '\t\t\tMultHdrRecCap{MultipleHeaderRecordingCapable} MultHdrRecEn{MultipleHeaderRecordingEnable} TLPPfxPres{TLPPrefixLogPresent} HdrLogCap{CompletionTimeoutLogCapable}',
      control,
    ),
    fill('\t\tHeaderLog: {HeaderLog0:x8} {HeaderLog1:x8} {HeaderLog2:x8} {HeaderLog3:x8}', control),
    ...(root
      ? [
          fill(
            '\t\tRootCmd: CERptEn{CorrectableErrorReportingEnable} NFERptEn{NonFatalErrorReportingEnable} FERptEn{FatalErrorReportingEnable}',
            root,
          ),
          fill(
            '\t\tRootSta: CERcvd{ERR_CORReceived} MultCERcvd{MultipleERR_CORReceived} UERcvd{ERR_FATAL_NONFATALReceived} MultUERcvd{MultipleERR_FATAL_NONFATALReceived}',
            root,
          ),
          fill(
            '\t\t\t FirstFatal{FirstUncorrectableFatal} NonFatalMsg{NonFatalErrorMessagesReceived} FatalMsg{FatalErrorMessagesReceived} IntMsgNum {InterruptMessageNumber:d}',
            root,
          ),
          fill(
            '\t\tErrorSrc: ERR_COR: {ERR_CORSourceIdentification:x4} ERR_FATAL/NONFATAL: {ERR_FATAL_NONFATALSourceIdentification:x4}',
            root,
          ),
        ]
      : []),
  ];
}

function sriov(config: Config, at: number): Lines {
  const own = read(config, Sriov, at);
  if (!own) return ['Single Root I/O Virtualization (SR-IOV)'];
  const bars = decodeBars([0, 1, 2, 3, 4, 5].map((i) => Number(own[`VFBAR${i}`])));
  return [
    'Single Root I/O Virtualization (SR-IOV)',
    fill(
      '\t\tIOVCap:\tMigration{VFMigrationCapable} 10BitTagReq{VF10BitTagRequesterSupported} IntMsgNum {VFMigrationInterruptMessageNumber:d}',
      own,
    ),
    fill(
      '\t\tIOVCtl:\tEnable{VFEnable} Migration{VFMigrationEnable} Interrupt{VFMigrationInterruptEnable} MSE{VFMSE} ARIHierarchy{ARICapableHierarchy} 10BitTagReq{VF10BitTagRequesterEnable}',
      own,
    ),
    fill('\t\tIOVSta:\tMigration{VFMigrationStatus}', own),
    fill(
      '\t\tInitial VFs: {InitialVFs:d}, Total VFs: {TotalVFs:d}, Number of VFs: {NumVFs:d}, Function Dependency Link: {FunctionDependencyLink:x2}',
      own,
    ),
    fill('\t\tVF offset: {FirstVFOffset:d}, stride: {VFStride:d}, Device ID: {VFDeviceID:x4}', own),
    fill('\t\tSupported Page Size: {SupportedPageSizes:x8}, System Page Size: {SystemPageSize:x8}', own),
    ...bars.map(({ index, width, prefetchable, base }) => {
      const place = width === 64 ? hex(base, 16) : hex(base, 8);
      return `\t\tRegion ${index}: Memory at ${place} (${width}-bit, ${prefetchable ? '' : 'non-'}prefetchable)`;
    }),
    `\t\tVF Migration: offset: ${hex(Number(own.VFMigrationStateOffset) * 8, 8)}, BIR: ${hex(Number(own.VFMigrationStateBIR))}`,
  ];
}

function rebar(config: Config, at: number, vf: boolean): Lines {
  const words = (size: number) => {
    const power = Math.log2(size) - 20;
    return power < 44 ? `${2 ** (power % 10)}${['M', 'G', 'T', 'P', 'E'][Math.floor(power / 10)]}B` : '<unknown>';
  };
  const heading = `${vf ? 'Virtual' : 'Physical'} Resizable BAR`;
  if (at + 12 > config.length) return [heading, '\t\t<unreadable>'];
  const bars = resizableBars(config, vf);
  if (bars.length === 0)
    return [heading, `\t\t<error in resizable BAR: num_bars=${config.view.getUint8(at + 8) >> 5} is out of specification>`];
  return [
    heading,
    ...bars.map(({ index, size, supported }) => {
      const list = supported.length ? `, supported: ${supported.map(words).join(' ')}` : '';
      return `\t\tBAR ${index}: current size: ${words(size)}${list}`;
    }),
  ];
}

function tph(config: Config, at: number): Lines {
  const own = read(config, TphRequester, at);
  if (!own) return ['Transaction Processing Hints'];
  return [
    'Transaction Processing Hints',
    ...(own.InterruptVectorModeSupported ? ['\t\tInterrupt vector mode supported'] : []),
    ...(own.DeviceSpecificModeSupported ? ['\t\tDevice specific mode supported'] : []),
    ...(own.ExtendedTPHRequesterSupported ? ['\t\tExtended requester support'] : []),
    [
      '\t\tNo steering table available',
      '\t\tSteering table in TPH capability structure',
      '\t\tSteering table in MSI-X table',
      '\t\tReserved steering table location',
    ][Number(own.STTableLocation)],
  ];
}

/** By extended capability ID. */
export const EXTENDED_WORDS: { readonly [id: number]: Words } = {
  [EXTENDED.AER]: aer,
  [EXTENDED.VC]: virtualChannel,
  [EXTENDED.VC9]: virtualChannel,
  [EXTENDED.DSN]: serialNumber,
  [EXTENDED.PWR]: () => ['Power Budgeting <?>'],
  [EXTENDED.RCLD]: rootComplexLink,
  [EXTENDED.RCILC]: () => ['Root Complex Internal Link <?>'],
  [EXTENDED.RCEC]: eventCollector,
  [EXTENDED.MFVC]: () => ['Multi-Function Virtual Channel <?>'],
  [EXTENDED.RCRB]: () => ['Root Complex Register Block <?>'],
  [EXTENDED.VNDR]: (config, at) => {
    const own = read(config, VendorSpecificExtended, at);
    const words = own ? fill('ID={VSECID:x4} Rev={VSECRev:d} Len={VSECLength:x3} <?>', own) : '<unreadable>';
    return [`Vendor Specific Information: ${words}`];
  },
  [EXTENDED.ACS]: simple(
    Acs,
    'Access Control Services',
    '\t\tACSCap:\tSrcValid{V} TransBlk{B} ReqRedir{R} CmpltRedir{C} UpstreamFwd{U} EgressCtrl{E} DirectTrans{T}',
    '\t\tACSCtl:\tSrcValid{VEn} TransBlk{BEn} ReqRedir{REn} CmpltRedir{CEn} UpstreamFwd{UEn} EgressCtrl{EEn} DirectTrans{TEn}',
  ),
  [EXTENDED.ARI]: simple(
    Ari,
    'Alternative Routing-ID Interpretation (ARI)',
    '\t\tARICap:\tMFVC{M} ACS{A}, Next Function: {NextFunctionNumber:d}',
    '\t\tARICtl:\tMFVC{MEn} ACS{AEn}, Function Group: {FunctionGroup:d}',
  ),
  [EXTENDED.ATS]: simple(
    Ats,
    'Address Translation Service (ATS)',
    '\t\tATSCap:\tInvalidate Queue Depth: {InvalidateQueueDepth:x2}',
    '\t\tATSCtl:\tEnable{E}, Smallest Translation Unit: {STU:x2}',
  ),
  [EXTENDED.SRIOV]: sriov,
  [EXTENDED.MRIOV]: () => ['Multi-Root I/O Virtualization <?>'],
  [EXTENDED.MCAST]: multicast,
  [EXTENDED.PRI]: simple(
    Pri,
    'Page Request Interface (PRI)',
    '\t\tPRICtl: Enable{E} Reset{R}',
    '\t\tPRISta: RF{RF} UPRGI{UPRGI} Stopped{S} PASID{PRGResponsePASIDRequired}',
    '\t\tPage Request Capacity: {OutstandingPageRequestCapacity:x8}, Page Request Allocation: {OutstandingPageRequestAllocation:x8}',
  ),
  [EXTENDED.REBAR]: (config, at) => rebar(config, at, false),
  [EXTENDED.DPA]: () => ['Dynamic Power Allocation <?>'],
  [EXTENDED.TPH]: tph,
  [EXTENDED.LTR]: ltr,
  [EXTENDED.SECPCI]: secondary,
  [EXTENDED.PMUX]: () => ['Protocol Multiplexing <?>'],
  [EXTENDED.PASID]: simple(
    Pasid,
    'Process Address Space ID (PASID)',
    '\t\tPASIDCap: Exec{ExecutePermissionSupported} Priv{PrivilegedModeSupported}, Max PASID Width: {MaxPASIDWidth:x2}',
    '\t\tPASIDCtl: Enable{PASIDEnable} Exec{ExecutePermissionEnable} Priv{PrivilegedModeEnable}',
  ),
  [EXTENDED.LNR]: () => ['LN Requester <?>'],
  [EXTENDED.DPC]: simple(
    Dpc,
    'Downstream Port Containment',
    '\t\tDpcCap:\tIntMsgNum {InterruptMessageNumber:d}, RPExt{RPExtensions} PoisonedTLP{PoisonedTLPEgressBlockingSupported} SwTrigger{SoftwareTriggeringSupported} RP PIO Log {RPPIOLogSize:d}, DL_ActiveErr{DL_ActiveERR_CORSignalingSupported}',
    '\t\tDpcCtl:\tTrigger:{TriggerEnable:x} Cmpl{CompletionControl} INT{InterruptEnable} ErrCor{ERR_COREnable} PoisonedTLP{PoisonedTLPEgressBlockingEnable} SwTrigger{SoftwareTrigger} DL_ActiveErr{DL_ActiveERR_COREnable}',
    '\t\tDpcSta:\tTrigger{TriggerStatus} Reason:{TriggerReason:x2} INT{InterruptStatus} RPBusy{RPBusy} TriggerExt:{TriggerReasonExtension:x2} RP PIO ErrPtr:{RPPIOFirstErrorPointer:x2}',
    '\t\tSource:\t{ErrorSourceID:x4}',
  ),
  [EXTENDED.L1SS]: l1pm,
  [EXTENDED.PTM]: ptm,
  [EXTENDED.MPCIE]: () => ['PCI Express over M_PHY <?>'],
  [EXTENDED.FRSQ]: () => ['FRS Queueing <?>'],
  [EXTENDED.RTR]: () => ['Readiness Time Reporting <?>'],
  [EXTENDED.DVSEC]: dvsec,
  [EXTENDED.VFREBAR]: (config, at) => rebar(config, at, true),
  [EXTENDED.DLF]: () => ['Data Link Feature <?>'],
  [EXTENDED.PL_16GT]: (config, at) => {
    const found = equalization(PhysicalLayer16, 16, config, at);
    return ['Physical Layer 16.0 GT/s', found ? found[0] : '\t\t<unreadable>'];
  },
  [EXTENDED.LMR]: simple(
    LaneMargining,
    'Lane Margining at the Receiver',
    '\t\tPortCap: Uses Driver{MarginingUsesDriverSoftware}',
    '\t\tPortSta: MargReady{MarginingReady} MargSoftReady{MarginingSoftwareReady}',
  ),
  [EXTENDED.HIERARCHY]: () => ['Hierarchy ID <?>'],
  [EXTENDED.NPEM]: () => ['Native PCIe Enclosure Management <?>'],
  [EXTENDED.PL_32GT]: physicalLayer32,
  [EXTENDED.DOE]: doe,
  // Named, and no more.
  [EXTENDED.IDE]: () => ['Integrity & Data Encryption', undefined],
  [EXTENDED.FLIT_LOG]: () => ['Flit Logging', undefined],
  [EXTENDED.FLIT_EI]: () => ['Flit Error Injection', undefined],
  [EXTENDED.MMIO_RBL]: () => ['MMIO Register Block Locator', undefined],
  [EXTENDED.DEV3]: device3,
  [EXTENDED.PL_64GT]: (config, at) => {
    const found = equalization(PhysicalLayer64, 64, config, at);
    if (!found) return ['Physical Layer 64.0 GT/s', '\t\t<unreadable>'];
    const precoding =
      '\t\t\t  TxPrecodeOn{TransmitterPrecodingOn} TxPrecodeReq{TransmitterPrecodeRequest} NoEqualizationNeededRecv{NoEqualizationNeededReceived}';
    return ['Physical Layer 64.0 GT/s', found[0], fill(precoding, found[1])];
  },
};
