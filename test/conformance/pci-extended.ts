import {
  Acs,
  AerControl,
  AerRoot,
  Ari,
  Ats,
  type Config,
  CorrectableErrors,
  CXL_DVSECS,
  CXL_VENDOR,
  DataObjectExchange,
  Dpc,
  Dvsec,
  decodeBars,
  EventCollectorAssociation,
  EventCollectorBuses,
  EXTENDED,
  L1PmSubstates,
  LaneMargining,
  Ltr,
  Multicast,
  MulticastOverlay,
  Pasid,
  PhysicalLayer16,
  PhysicalLayer32,
  PhysicalLayer64,
  Pri,
  Ptm,
  portType,
  RootComplexLink,
  RootComplexLinkEntry,
  resizableBars,
  SecondaryPciExpress,
  SerialNumber,
  Sriov,
  type Structure,
  TphRequester,
  UncorrectableErrors,
  VcResource,
  VendorSpecificExtended,
  VirtualChannel,
} from '../../src/pci/index.ts';
import type { Lines, Words } from './pci-conventional.ts';
import { fill, hex, need, read, type Values } from './pci-words.ts';

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

const ARBITRATION = ['Fixed', 'WRR32', 'WRR64', 'WRR128', 'TWRR128', 'WRR256', '??6', '??7'];

/** `Fixed+ WRR32-`: the `known` lowest bits, and those above where they are set. */
const arbitration = (mask: number, known: number) =>
  ARBITRATION.map((name, i) => (i < 4 || known > 4 ? name : `??${i}`))
    .flatMap((name, i) => (i < known || mask & (1 << i) ? [`${name}${mask & (1 << i) ? '+' : '-'}`] : []))
    .join(' ');

function virtualChannel(config: Config, at: number): Lines {
  const own = read(config, VirtualChannel, at);
  if (!own) return ['Virtual Channel'];
  const clock =
    VirtualChannel.nameOf('ReferenceClock', own.ReferenceClock!)?.replace(' ', '') ?? `??${own.ReferenceClock as number}`;
  const table = Number(own.VCArbitrationTableOffset);
  const lines: Lines = [
    'Virtual Channel',
    fill(
      `\t\tCaps:\tLPEVC={LowPriorityExtendedVCCount:d} RefClk=${clock} PATEntryBits=${2 ** Number(own.PortArbitrationTableEntrySize)}`,
      own,
    ),
    `\t\tArb:\t${arbitration(Number(own.VCArbitrationCapability), 4)}`,
    `\t\tCtrl:\tArbSelect=${(Number(own.VCArbitrationSelect) < 4 && ARBITRATION[Number(own.VCArbitrationSelect)]) || `??${Number(own.VCArbitrationSelect)}`}`,
    fill('\t\tStatus:\tInProgress{VCArbitrationTableStatus}', own),
  ];
  if (table) lines.push(`\t\tPort Arbitration Table [${hex(at + 16 * table)}] <?>`);
  for (let i = 0; i <= Number(own.ExtendedVCCount); i++) {
    const resource = read(config, VcResource, at + 0x10 + 12 * i);
    if (!resource) {
      lines.push(`\t\tVC${i}:\t<unreadable>`);
      continue;
    }
    lines.push(
      fill(
        `\t\tVC${i}:\tCaps:\tPATOffset={PortArbitrationTableOffset:x2} MaxTimeSlots=${Number(resource.MaximumTimeSlots) + 1} RejSnoopTrans{RejectSnoopTransactions}`,
        resource,
      ),
      `\t\t\tArb:\t${arbitration(Number(resource.PortArbitrationCapability), 6)}`,
      fill(
        `\t\t\tCtrl:\tEnable{VCEnable} ID={VCID:d} ArbSelect=${ARBITRATION[Number(resource.PortArbitrationSelect)]} TC/VC={TCVCMap:x2}`,
        resource,
      ),
      fill('\t\t\tStatus:\tNegoPending{VCNegotiationPending} InProgress{PortArbitrationTableStatus}', resource),
    );
    if (resource.PortArbitrationTableOffset) lines.push('\t\t\tPort Arbitration Table <?>');
  }
  return lines;
}

function serialNumber(config: Config, at: number): Lines {
  const own = read(config, SerialNumber, at);
  if (!own) return [undefined];
  return [`Device Serial Number ${hex(own.SerialNumber as bigint, 16).replace(/(..)(?=.)/g, '$1-')}`];
}

function rootComplexLink(config: Config, at: number): Lines {
  const own = read(config, RootComplexLink, at);
  if (!own) return ['Root Complex Link'];
  const type = ['Config', 'Egress', 'Internal'][Number(own.ElementType)] ?? `??${own.ElementType as number}`;
  const lines: Lines = [
    'Root Complex Link',
    fill(`\t\tDesc:\tPortNumber={PortNumber:x2} ComponentID={ComponentID:x2} EltType=${type}`, own),
  ];
  for (let i = 0; i < Number(own.NumberOfLinkEntries); i++) {
    const link = read(config, RootComplexLinkEntry, at + 0x10 + 16 * i);
    if (!link) return [...lines, `\t\tLink${i}:\t<unreadable>`];
    const address = link.LinkAddress as bigint;
    lines.push(
      fill(
        `\t\tLink${i}:\tDesc:\tTargetPort={TargetPortNumber:x2} TargetComponent={TargetComponentID:x2} AssocRCRB{AssociateRCRBHeader} LinkType=${link.LinkType ? 'Config' : 'MemMapped'} LinkValid{LinkValid}`,
        link,
      ),
      link.LinkType ? configAddress(address) : `\t\t\tAddr:\t${hex(address, 16)}`,
    );
  }
  return lines;
}

/** The low three bits say how many bits the bus has, 0 standing for 8. */
function configAddress(address: bigint): string {
  const bits = Number(address & 7n) || 8;
  const take = (low: number, width: number) => Number((address >> BigInt(low)) & ((1n << BigInt(width)) - 1n));
  return `\t\t\tAddr:\t${hex(take(20, bits), 2)}:${hex(take(15, 5), 2)}.${take(12, 3)}  CfgSpace=${hex(address, 16)}`;
}

function eventCollector(config: Config, at: number): Lines {
  const own = read(config, EventCollectorAssociation, at);
  if (!own) return ['Root Complex Event Collector Endpoint Association'];
  const buses = Number(own.CapabilityVersion) >= 2 ? read(config, EventCollectorBuses, at) : undefined;
  const bitmap = Number(own.AssociationBitmap);
  // Of a bitmap with bits lspci prints the devices, and drops the end of a last range.
  const lines: Lines = [
    'Root Complex Event Collector Endpoint Association',
    bitmap ? undefined : '\t\tRCiEPBitmap: 00000000 [none]',
  ];
  if (!buses) return lines;
  const none = buses.RCECNextBus === 0xff && buses.RCECLastBus === 0;
  return [
    ...lines,
    none ? '\t\tAssociatedBusNumbers: ff-00 [none]' : fill('\t\tAssociatedBusNumbers: {RCECNextBus:x2}-{RCECLastBus:x2}', buses),
  ];
}

function multicast(config: Config, at: number): Lines {
  const own = read(config, Multicast, at);
  if (!own) return ['Multicast'];
  const port = portType(config);
  const ends = port === 'endpoint' || port === 'integratedEndpoint';
  const window = ends
    ? fill(`, WindowSz {MC_Window_Size_Requested:d} (${2 ** Number(own.MC_Window_Size_Requested)} bytes)`, own)
    : fill(', ECRCRegen{MC_ECRC_Regeneration_Supported}', own);
  const capability = `\t\tMcastCap: MaxGroups ${Number(own.MC_Max_Group) + 1}${window}`;
  const control = fill(`\t\tMcastCtl: NumGroups ${Number(own.MC_Num_Group) + 1}, Enable{MC_Enable}`, own);
  const lines: Lines = [
    'Multicast',
    // lspci ends the line only for ports.
    ...(ends ? [capability + control] : [capability, control]),
    fill('\t\tMcastBAR: IndexPos {MC_Index_Position:d}, BaseAddr {MC_Base_Address:x13}000', own),
    fill('\t\tMcastReceiveVec:      {MC_Receive:x16}', own),
    fill('\t\tMcastBlockAllVec:     {MC_Block_All:x16}', own),
    fill('\t\tMcastBlockUntransVec: {MC_Block_Untranslated:x16}', own),
  ];
  const overlay = ends ? undefined : read(config, MulticastOverlay, at);
  if (!overlay) return lines;
  const size = Number(overlay.MC_Overlay_Size);
  const address = hex((overlay.MC_Overlay_BAR as bigint) << 6n, 16);
  return [
    ...lines,
    `\t\tMcastOverlayBAR: OverlaySize ${size} (${size >= 6 ? `${2 ** size} bytes` : 'disabled'}), BaseAddr ${address}`,
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

const NANOSECONDS = (scale: number) => 32 ** scale;

function ltr(config: Config, at: number): Lines {
  const own = read(config, Ltr, at);
  if (!own) return ['Latency Tolerance Reporting'];
  const time = (value: string, scale: string) => `${Number(own[value]) * NANOSECONDS(Number(own[scale]))}ns`;
  return [
    'Latency Tolerance Reporting',
    `\t\tMax snoop latency: ${time('MaxSnoopLatencyValue', 'MaxSnoopLatencyScale')}`,
    `\t\tMax no snoop latency: ${time('MaxNoSnoopLatencyValue', 'MaxNoSnoopLatencyScale')}`,
  ];
}

function secondary(config: Config, at: number): Lines {
  const own = read(config, SecondaryPciExpress, at);
  if (!own) return ['Secondary PCI Express'];
  // lspci looks at 16 lanes.
  const lanes = Array.from({ length: 16 }, (_, lane) => lane).filter((lane) => (Number(own.LaneErrorStatus) >>> lane) & 1);
  return [
    'Secondary PCI Express',
    fill('\t\tLnkCtl3: LnkEquIntrruptEn{LinkEqualizationRequestInterruptEnable} PerformEqu{PerformEqualization}', own),
    `\t\tLaneErrStat: ${lanes.length ? `LaneErr at lane: ${lanes.join(' ')}` : '0'}`,
  ];
}

function l1pm(config: Config, at: number): Lines {
  const own = read(config, L1PmSubstates, at);
  if (!own) return ['L1 PM Substates', '\t\t<unreadable>'];
  const powerOn = (scale: string, value: string) => {
    const unit = [2, 10, 100][Number(own[scale])];
    return unit === undefined ? '<error>' : `${unit * Number(own[value])}us`;
  };
  const l12 = own.PCIPML12Supported || own.ASPML12Supported;
  const scale = Number(own.LTRL12ThresholdScale);
  const threshold = own.ASPML12Supported
    ? ` LTR1.2_Threshold=${scale > 5 ? '<error>' : `${Number(own.LTRL12ThresholdValue) * NANOSECONDS(scale)}ns`}`
    : '';
  return [
    'L1 PM Substates',
    fill(
      '\t\tL1SubCap: PCI-PM_L1.2{PCIPML12Supported} PCI-PM_L1.1{PCIPML11Supported} ASPM_L1.2{ASPML12Supported} ASPM_L1.1{ASPML11Supported} L1_PM_Substates{L1PMSubstatesSupported}',
      own,
    ),
    ...(l12
      ? [
          fill(
            `\t\t\t  PortCommonModeRestoreTime={PortCommonModeRestoreTime:d}us PortTPowerOnTime=${powerOn('PortTPowerOnScale', 'PortTPowerOnValue')}`,
            own,
          ),
        ]
      : []),
    fill(
      '\t\tL1SubCtl1: PCI-PM_L1.2{PCIPML12Enable} PCI-PM_L1.1{PCIPML11Enable} ASPM_L1.2{ASPML12Enable} ASPM_L1.1{ASPML11Enable}',
      own,
    ),
    ...(l12 ? [fill(`\t\t\t   T_CommonMode={CommonModeRestoreTime:d}us${threshold}`, own)] : []),
    `\t\tL1SubCtl2:${l12 ? ` T_PwrOn=${powerOn('TPowerOnScale', 'TPowerOnValue')}` : ''}`,
  ];
}

function ptm(config: Config, at: number): Lines {
  const own = read(config, Ptm, at);
  if (!own) return ['Precision Time Measurement', '\t\t<unreadable>'];
  const time = (value: unknown, zero: string) =>
    value === 0 ? zero : value === 255 ? 'Greater than 254ns' : `${value as number}ns`;
  return [
    'Precision Time Measurement',
    fill('\t\tPTMCap: Requester{PTMRequesterCapable} Responder{PTMResponderCapable} Root{PTMRootCapable}', own),
    `\t\tPTMClockGranularity: ${time(own.LocalClockGranularity, 'Unimplemented')}`,
    fill('\t\tPTMControl: Enabled{PTMEnable} RootSelected{RootSelect}', own),
    `\t\tPTMEffectiveGranularity: ${time(own.EffectiveGranularity, 'Unknown')}`,
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

function dvsec(config: Config, at: number): Lines {
  const own = read(config, Dvsec, at);
  if (!own) return ['Designated Vendor-Specific: <unreadable>'];
  const heading = fill(
    'Designated Vendor-Specific: Vendor={DVSECVendorID:x4} ID={DVSECID:x4} Rev={DVSECRevision:d} Len={DVSECLength:d}',
    own,
  );
  if (own.DVSECVendorID !== CXL_VENDOR || Number(own.DVSECLength) < 16) return [`${heading} <?>`];
  const title = CXL_WORDS[CXL_DVSECS[Number(own.DVSECID)] ?? ''];
  // What CXL keeps in them is named and no more.
  return [`${heading}: CXL`, title === undefined ? fill('\t\tUnknown ID {DVSECID:x4}', own) : `\t\t${title}`, undefined];
}

const CXL_WORDS: { readonly [ours: string]: string } = {
  'CXL device': 'PCIe DVSEC for CXL Devices',
  'Non-CXL function map': 'Non-CXL Function Map DVSEC',
  'CXL extensions for ports': 'CXL Extensions DVSEC for Ports',
  'GPF for CXL ports': 'GPF DVSEC for CXL Ports',
  'GPF for CXL devices': 'GPF DVSEC for CXL Devices',
  'CXL Flex Bus port': 'PCIe DVSEC for Flex Bus Port',
  'CXL register locator': 'Register Locator DVSEC',
  'CXL multi-logical device': 'MLD DVSEC',
  'CXL test capability': 'PCIe DVSEC for Test Capability <?>',
};

function equalization(structure: Structure, generation: number, config: Config, at: number): [string, Values] | undefined {
  const own = read(config, structure, at);
  return (
    own && [
      fill(
        `\t\tPhy${generation}Sta: EquComplete{EqualizationComplete} EquPhase1{EqualizationPhase1Successful} EquPhase2{EqualizationPhase2Successful} EquPhase3{EqualizationPhase3Successful} LinkEquRequest{LinkEqualizationRequest}`,
        own,
      ),
      own,
    ]
  );
}

function physicalLayer32(config: Config, at: number): Lines {
  const found = equalization(PhysicalLayer32, 32, config, at);
  if (!found) return ['Physical Layer 32.0 GT/s', '\t\t<unreadable>'];
  const [status, own] = found;
  const behaviours = [
    'Full Equalization required',
    'Equalization bypass to highest rate support',
    'No Equalization Needed',
    'Modified TS1/TS2 Ordered Sets supported',
  ];
  return [
    'Physical Layer 32.0 GT/s',
    fill(
      '\t\tPhy32Cap: EqualizationBypass{EqualizationBypassSupported} NoEqualizationNeeded{NoEqualizationNeededSupported}',
      own,
    ),
    fill('\t\t\t  ModTsMode0{ModifiedTSUsageMode0} ModTsMode1{ModifiedTSUsageMode1} ModTsMode2{ModifiedTSUsageMode2}', own),
    fill(
      '\t\tPhy32Ctl: EqualizationBypassDis{EqualizationBypassDisable} NoEqualizationNeededDis{NoEqualizationNeededDisable}',
      own,
    ),
    fill('\t\t\t  Modified TS Usage Mode: {ModifiedTSUsageModeSelected:s}', own, PhysicalLayer32).replace(': ?', ': ??'),
    status,
    `\t\t\t  Received Enhanced Link Behavior Control: ${behaviours[Number(own.ReceivedEnhancedLinkBehaviorControl)]}`,
    fill(
      '\t\t\t  ModTsRecv{ModifiedTSReceived} TxPrecodeOn{TransmitterPrecodingOn} TxPrecodeReq{TransmitterPrecodeRequest} NoEqualizationNeededRecv{NoEqualizationNeededReceived}',
      own,
    ),
  ];
}

function doe(config: Config, at: number): Lines {
  const own = read(config, DataObjectExchange, at);
  if (!own) return ['Data Object Exchange', '\t\t<unreadable>'];
  return [
    'Data Object Exchange',
    fill('\t\tDOECap: IntSup{InterruptSupport}', own),
    ...(own.InterruptSupport ? [fill('\t\t\tIntMsgNum {InterruptMessageNumber:d}', own)] : []),
    fill('\t\tDOECtl: IntEn{InterruptEnable}', own),
    fill('\t\tDOESta: Busy{Busy} IntSta{InterruptStatus} Error{Error} ObjectReady{DataObjectReady}', own),
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
  [EXTENDED.DEV3]: () => ['Device 3', undefined],
  [EXTENDED.PL_64GT]: (config, at) => {
    const found = equalization(PhysicalLayer64, 64, config, at);
    if (!found) return ['Physical Layer 64.0 GT/s', '\t\t<unreadable>'];
    const precoding =
      '\t\t\t  TxPrecodeOn{TransmitterPrecodingOn} TxPrecodeReq{TransmitterPrecodeRequest} NoEqualizationNeededRecv{NoEqualizationNeededReceived}';
    return ['Physical Layer 64.0 GT/s', found[0], fill(precoding, found[1])];
  },
};
