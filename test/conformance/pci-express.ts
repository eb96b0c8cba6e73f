import {
  barsOf,
  type Config,
  ExpressLink,
  ExpressLink2,
  ExpressRoot,
  ExpressSlot,
  PciExpress,
  PciExpress2,
  parseBdf,
} from '../../src/pci/index.ts';
import type { Lines } from './pci-conventional.ts';
import { fill, need, type Values } from './pci-words.ts';

const types = PciExpress.values.DevicePortType;
const PORT_WORDS: { readonly [type: number]: string } = {
  [types.endpoint]: 'Endpoint',
  [types.legacyEndpoint]: 'Legacy Endpoint',
  [types.rootPort]: 'Root Port (Slot{SlotImplemented})',
  [types.upstreamPort]: 'Upstream Port',
  [types.downstreamPort]: 'Downstream Port (Slot{SlotImplemented})',
  [types.bridgeToPci]: 'PCI-Express to PCI/PCI-X Bridge',
  [types.bridgeFromPci]: 'PCI/PCI-X to PCI-Express Bridge (Slot{SlotImplemented})',
  [types.integratedEndpoint]: 'Root Complex Integrated Endpoint',
  [types.eventCollector]: 'Root Complex Event Collector',
};

/** lspci's name for a value: ours without its blanks. */
const tight = (text: string | undefined) => text?.replaceAll(' ', '');
const latency = (text: string | undefined) => (text === 'no limit' ? 'unlimited' : tight(text?.replace('below ', '<')));
const bytes = (power: number) => `${128 << power} bytes`;

function powerLimit(value: number, scale: number): string {
  if (scale === 0 && value === 0xff) return '>600W';
  const watts = scale === 0 && value >= 0xf0 ? 250 + 25 * (value - 0xf0) : value;
  return `${Number((watts / 10 ** scale).toPrecision(6))}W`;
}

export function expressLines(config: Config, at: number, bdf: string): Lines {
  const own = need(config, PciExpress, at);
  const type = own.DevicePortType as number;
  const link = type !== types.integratedEndpoint && type !== types.eventCollector;
  const slot =
    (type === types.rootPort || type === types.downstreamPort || type === types.bridgeFromPci) && own.SlotImplemented === 1;
  const words = fill(PORT_WORDS[type] ?? `Unknown type ${type}`, own);
  const flit = own.FlitModeSupported ? ', FLIT Mode Supported' : '';
  const lines: Lines = [
    fill(`Express (v{CapabilityVersion:d}) ${words}, IntMsgNum {InterruptMessageNumber:d}${flit}`, own),
    ...deviceLines(own, type),
  ];
  if (link) lines.push(...linkLines(need(config, ExpressLink, at), type));
  if (slot) lines.push(...slotLines(need(config, ExpressSlot, at)));
  if (type === types.rootPort || type === types.eventCollector) lines.push(...rootLines(need(config, ExpressRoot, at)));
  if (Number(own.CapabilityVersion) < 2) return lines;
  lines.push(...deviceLines2(need(config, PciExpress2, at), type, config));
  if (link) lines.push(...linkLines2(need(config, ExpressLink2, at), type, bdf));
  return lines;
}

function deviceLines(own: Values, type: number): Lines {
  const ends = type === types.endpoint || type === types.legacyEndpoint;
  const name = (field: 'EndpointL0sAcceptableLatency' | 'EndpointL1AcceptableLatency') =>
    latency(PciExpress.nameOf(field, own[field]!));
  const latencies = ends
    ? `, Latency L0s ${name('EndpointL0sAcceptableLatency')}, L1 ${name('EndpointL1AcceptableLatency')}`
    : '';
  const upstream = type === types.upstreamPort || type === types.bridgeToPci;
  const indicators =
    ends || upstream ? ' AttnBtn{AttentionButtonPresent} AttnInd{AttentionIndicatorPresent} PwrInd{PowerIndicatorPresent}' : '';
  const resets = ends || type === types.integratedEndpoint;
  const limit =
    type === types.endpoint || upstream
      ? ` SlotPowerLimit ${powerLimit(Number(own.CapturedSlotPowerLimitValue), Number(own.CapturedSlotPowerLimitScale))}`
      : '';
  const phantom = 2 ** Number(own.PhantomFunctionsSupported) - 1;
  const retry = type === types.bridgeToPci ? ' BrConfRtry{InitiateFunctionLevelReset}' : '';
  const reset = resets && own.FunctionLevelResetCapability ? ' FLReset{InitiateFunctionLevelReset}' : '';
  return [
    `\t\tDevCap:\tMaxPayload ${bytes(Number(own.MaxPayloadSizeSupported))}, PhantFunc ${phantom}${latencies}`,
    fill(
      `\t\t\tExtTag{ExtendedTagFieldSupported}${indicators} RBE{RoleBasedErrorReporting}${resets ? ' FLReset{FunctionLevelResetCapability}' : ''}${limit} TEE-IO{TEEIOSupported}`,
      own,
    ),
    fill(
      '\t\tDevCtl:\tCorrErr{CorrectableErrorReportingEnable} NonFatalErr{NonFatalErrorReportingEnable} FatalErr{FatalErrorReportingEnable} UnsupReq{UnsupportedRequestReportingEnable}',
      own,
    ),
    fill(
      `\t\t\tRlxdOrd{EnableRelaxedOrdering} ExtTag{ExtendedTagFieldEnable} PhantFunc{PhantomFunctionsEnable} AuxPwr{AuxPowerPMEnable} NoSnoop{EnableNoSnoop}${retry}${reset}`,
      own,
    ),
    `\t\t\tMaxPayload ${bytes(Number(own.MaxPayloadSize))}, MaxReadReq ${bytes(Number(own.MaxReadRequestSize))}`,
    fill(
      '\t\tDevSta:\tCorrErr{CorrectableErrorDetected} NonFatalErr{NonFatalErrorDetected} FatalErr{FatalErrorDetected} UnsupReq{UnsupportedRequestDetected} AuxPwr{AUXPowerDetected} TransPend{TransactionsPending}',
      own,
    ),
  ];
}

const isDownstream = (type: number) => type === types.rootPort || type === types.downstreamPort || type === types.bridgeFromPci;

function linkLines(own: Values, type: number): Lines {
  const speed = (field: 'MaxLinkSpeed' | 'CurrentLinkSpeed') =>
    own[field] === 8 ? '128GT/s' : (tight(ExpressLink.nameOf(field, own[field]!)) ?? 'unknown');
  const aspm = Number(own.ASPMSupport);
  const exits = [
    ...(aspm & 1 ? [`L0s ${latency(ExpressLink.nameOf('L0sExitLatency', own.L0sExitLatency!))}`] : []),
    ...(aspm & 2 ? [`L1 ${latency(ExpressLink.nameOf('L1ExitLatency', own.L1ExitLatency!))}`] : []),
  ];
  const support = ['not supported', 'L0s', 'L1', 'L0s L1'][aspm];
  const compared = (now: number, most: number) =>
    now > most ? ' (overdriven)' : now < most && !isDownstream(type) ? ' (downgraded)' : '';
  const boundary = [types.rootPort, types.endpoint, types.legacyEndpoint, types.bridgeToPci].includes(type as 0)
    ? ` RCB ${ExpressLink.nameOf('RCB', own.RCB!)},`
    : '';
  return [
    fill(
      `\t\tLnkCap:\tPort #{PortNumber:d}, Speed ${speed('MaxLinkSpeed')}, Width x{MaximumLinkWidth:d}, ASPM ${support}${exits.length ? `, Exit Latency ${exits.join(', ')}` : ''}`,
      own,
    ),
    fill(
      '\t\t\tClockPM{ClockPowerManagement} Surprise{SurpriseDownErrorReportingCapable} LLActRep{DataLinkLayerLinkActiveReportingCapable} BwNot{LinkBandwidthNotificationCapability} ASPMOptComp{ASPMOptionalityCompliance}',
      own,
    ),
    fill(
      `\t\tLnkCtl:\tASPM ${['Disabled', 'L0s Enabled', 'L1 Enabled', 'L0s L1 Enabled'][Number(own.ASPMControl)]};${boundary} LnkDisable{LinkDisable} CommClk{CommonClockConfiguration}`,
      own,
    ),
    fill(
      '\t\t\tExtSynch{ExtendedSynch} ClockPM{EnableClockPowerManagement} AutWidDis{HardwareAutonomousWidthDisable} BWInt{LinkBandwidthManagementInterruptEnable} AutBWInt{LinkAutonomousBandwidthInterruptEnable} FltModeDis{FlitModeDisable}',
      own,
    ),
    fill(
      `\t\tLnkSta:\tSpeed ${speed('CurrentLinkSpeed')}${compared(Number(own.CurrentLinkSpeed), Number(own.MaxLinkSpeed))}, Width x{NegotiatedLinkWidth:d}${compared(Number(own.NegotiatedLinkWidth), Number(own.MaximumLinkWidth))}`,
      own,
    ),
    fill(
      '\t\t\tTrErr{TrainingError} Train{LinkTraining} SlotClk{SlotClockConfiguration} DLActive{DataLinkLayerLinkActive} BWMgmt{LinkBandwidthManagementStatus} ABWMgmt{LinkAutonomousBandwidthStatus}',
      own,
    ),
  ];
}

function slotLines(own: Values): Lines {
  const indicator = (value: unknown) => ['Unknown', 'On', 'Blink', 'Off'][Number(value)];
  return [
    fill(
      '\t\tSltCap:\tAttnBtn{AttentionButtonPresent} PwrCtrl{PowerControllerPresent} MRL{MRLSensorPresent} AttnInd{AttentionIndicatorPresent} PwrInd{PowerIndicatorPresent} HotPlug{HotPlugCapable} Surprise{HotPlugSurprise}',
      own,
    ),
    fill(
      `\t\t\tSlot #{PhysicalSlotNumber:d}, PowerLimit ${powerLimit(Number(own.SlotPowerLimitValue), Number(own.SlotPowerLimitScale))}; Interlock{ElectromechanicalInterlockPresent} NoCompl{NoCommandCompletedSupport}`,
      own,
    ),
    fill(
      '\t\tSltCtl:\tEnable: AttnBtn{AttentionButtonPressedEnable} PwrFlt{PowerFaultDetectedEnable} MRL{MRLSensorChangedEnable} PresDet{PresenceDetectChangedEnable} CmdCplt{CommandCompletedInterruptEnable} HPIrq{HotPlugInterruptEnable} LinkChg{DataLinkLayerStateChangedEnable}',
      own,
    ),
    fill(
      `\t\t\tControl: AttnInd ${indicator(own.AttentionIndicatorControl)}, PwrInd ${indicator(own.PowerIndicatorControl)}, Power{PowerControllerControl} Interlock{ElectromechanicalInterlockControl}`,
      own,
    ),
    fill(
      '\t\tSltSta:\tStatus: AttnBtn{AttentionButtonPressed} PowerFlt{PowerFaultDetected} MRL{MRLSensorState} CmdCplt{CommandCompleted} PresDet{PresenceDetectState} Interlock{ElectromechanicalInterlockStatus}',
      own,
    ),
    fill('\t\t\tChanged: MRL{MRLSensorChanged} PresDet{PresenceDetectChanged} LinkState{DataLinkLayerStateChanged}', own),
  ];
}

function rootLines(own: Values): Lines {
  return [
    fill('\t\tRootCap: CRSVisible{RRSSoftwareVisibility}', own),
    fill(
      '\t\tRootCtl: ErrCorrectable{SystemErrorOnCorrectableErrorEnable} ErrNon-Fatal{SystemErrorOnNonFatalErrorEnable} ErrFatal{SystemErrorOnFatalErrorEnable} PMEIntEna{PMEInterruptEnable} CRSVisible{RRSSoftwareVisibilityEnable}',
      own,
    ),
    fill('\t\tRootSta: PME ReqID {PMERequesterID:x4}, PMEStatus{PMEStatus} PMEPending{PMEPending}', own),
  ];
}

const OBFF: { readonly [ours: string]: string } = {
  none: 'Not Supported',
  message: 'Via message',
  'WAKE#': 'Via WAKE#',
  'message and WAKE#': 'Via message/WAKE#',
  disabled: 'Disabled',
  'message, variation A': 'Via message A',
  'message, variation B': 'Via message B',
};
const TPH: { readonly [ours: string]: string } = {
  none: ' TPHComp- ExtTPHComp-',
  TPH: ' TPHComp+ ExtTPHComp-',
  'TPH and Extended TPH': ' TPHComp+ ExtTPHComp+',
};
const POWER_REDUCTION = ['Not Supported', 'Dev Specific', 'Form Factor Dev Specific', 'Reserved'];
const CACHE_LINES = ['Not Supported', '64byte cachelines', '128byte cachelines', 'Reserved'];

function deviceLines2(own: Values, type: number, config: Config): Lines {
  const name = (field: 'CompletionTimeoutRangesSupported' | 'OBFFSupported' | 'OBFFEnable' | 'TPHCompleterSupported') =>
    PciExpress2.nameOf(field, own[field]!);
  const ranges = name('CompletionTimeoutRangesSupported');
  const rangeWords =
    ranges === undefined ? 'Unknown' : ranges === 'none' ? 'Not Supported' : `Range ${ranges.replaceAll(', ', '')}`;
  const timeout = PciExpress2.nameOf('CompletionTimeoutValue', own.CompletionTimeoutValue!);
  const timeoutWords = timeout?.split(' to ').map(tight).join(' to ') ?? 'Unknown';
  const prefixes = own.EndEndTLPPrefixSupported ? ', MaxEETLPPrefixes {MaxEndEndTLPPrefixes:s}' : '';
  const root = type === types.rootPort;
  const down = root || type === types.downstreamPort;
  const routes = down || type === types.upstreamPort;
  const requests = root || [types.endpoint, types.integratedEndpoint, types.legacyEndpoint].includes(type as 0);
  const memory = barsOf(config).some(({ space }) => space === 'memory');
  const completes = root || memory ? ' 32bit{AtomicOpCompleter32} 64bit{AtomicOpCompleter64} 128bitCAS{CASCompleter128}' : '';
  // lspci prints a blank for the reserved value of TPH.
  const tph = root || type === types.endpoint ? (TPH[name('TPHCompleterSupported') ?? ''] ?? ' ') : '';
  return [
    fill(
      `\t\tDevCap2: Completion Timeout: ${rangeWords}, TimeoutDis{CompletionTimeoutDisableSupported} NROPrPrP{NoROEnabledPRPRPassing} LTR{LTRMechanismSupported}`,
      own,
    ),
    fill(
      `\t\t\t 10BitTagComp{TagCompleter10BitSupported} 10BitTagReq{TagRequester10BitSupported} OBFF ${OBFF[name('OBFFSupported')!]}, ExtFmt{ExtendedFmtFieldSupported} EETLPPrefix{EndEndTLPPrefixSupported}${prefixes}`,
      own,
      PciExpress2,
    ),
    fill(
      `\t\t\t EmergencyPowerReduction ${POWER_REDUCTION[Number(own.EmergencyPowerReductionSupported)]}, EmergencyPowerReductionInit{EmergencyPowerReductionInitializationRequired}`,
      own,
    ),
    fill(
      `\t\t\t FRS{FRSSupported}${root ? ` LN System CLS ${CACHE_LINES[Number(own.LNSystemCLS)]},` : ''}${tph}${down ? ' ARIFwd{ARIForwardingSupported}' : ''}`,
      own,
    ),
    ...(routes || memory
      ? [fill(`\t\t\t AtomicOpsCap:${routes ? ' Routing{AtomicOpRoutingSupported}' : ''}${completes}`, own)]
      : []),
    fill(
      `\t\tDevCtl2: Completion Timeout: ${timeoutWords}, TimeoutDis{CompletionTimeoutDisable}${down ? ' ARIFwd{ARIForwardingEnable}' : ''}`,
      own,
    ),
    ...(routes || requests
      ? [
          fill(
            `\t\t\t AtomicOpsCtl:${requests ? ' ReqEn{AtomicOpRequesterEnable}' : ''}${routes ? ' EgressBlck{AtomicOpEgressBlocking}' : ''}`,
            own,
          ),
        ]
      : []),
    fill(
      '\t\t\t IDOReq{IDORequestEnable} IDOCompl{IDOCompletionEnable} LTR{LTRMechanismEnable} EmergencyPowerReductionReq{EmergencyPowerReductionRequest}',
      own,
    ),
    fill(
      `\t\t\t 10BitTagReq{TagRequester10BitEnable} OBFF ${OBFF[name('OBFFEnable')!] ?? 'Via WAKE#'}, EETLPPrefixBlk{EndEndTLPPrefixBlocking}`,
      own,
    ),
  ];
}

const MARGINS = [
  'Normal Operating Range',
  '800-1200mV(full-swing)/400-700mV(half-swing)',
  ...Array.from({ length: 4 }, () => '200-400mV(full-swing)/100-200mV(half-swing)'),
];
/** De-emphasis and preshoot of the presets. PCIe 6.0 Table 4-24. */
const PRESETS = [
  ['-6', '0'],
  ['-3.5', '0'],
  ['-4.4', '0'],
  ['-2.5', '0'],
  ['0', '0'],
  ['0', '1.9'],
  ['0', '2.5'],
  ['-6.0', '3.5'],
  ['-3.5', '3.5'],
  ['0', '3.5'],
];

/** lspci names the highest bit, and we the whole vector. */
function speedsWords(vector: number): string {
  const highest = [2.5, 5, 8, 16, 32, 64, 128][31 - Math.clz32(vector)];
  if (highest === undefined) return 'Unknown';
  return highest === 2.5 ? '2.5GT/s' : `2.5-${highest}GT/s`;
}

function linkLines2(own: Values, type: number, bdf: string): Lines {
  const lines: Lines = [];
  const { device, function: fn } = parseBdf(bdf)!;
  // Of a device's functions lspci shows these registers for the first only.
  const first = device === 0 && fn === 0;
  const capable = Object.entries(own).some(
    ([name, value]) => value !== 0 && ExpressLink2.fields.some((field) => field.name === name && field.high < 32),
  );
  const shown = first || (type !== types.endpoint && type !== types.legacyEndpoint);
  if (shown) {
    if (capable)
      lines.push(
        fill(
          `\t\tLnkCap2: Supported Link Speeds: ${speedsWords(Number(own.SupportedLinkSpeedsVector))}, Crosslink{CrosslinkSupported} Retimer{RetimerPresenceDetectSupported} 2Retimers{TwoRetimersPresenceDetectSupported} DRS{DRSSupported}`,
          own,
        ),
      );
    const target = Number(own.TargetLinkSpeed);
    // 0 is what a port of 2.5 GT/s alone may have.
    const speed =
      target === 0 ? '2.5GT/s' : target === 8 ? '128GT/s' : (tight(ExpressLink2.nameOf('TargetLinkSpeed', target)) ?? 'Unknown');
    const selectable =
      type === types.downstreamPort
        ? `, Selectable De-emphasis: ${tight(ExpressLink2.nameOf('SelectableDeemphasis', own.SelectableDeemphasis!))}`
        : '';
    const preset = PRESETS[Number(own.CompliancePreset)];
    lines.push(
      fill(
        `\t\tLnkCtl2: Target Link Speed: ${speed}, EnterCompliance{EnterCompliance} SpeedDis{HardwareAutonomousSpeedDisable}${selectable}`,
        own,
      ),
      fill(
        `\t\t\t Transmit Margin: ${MARGINS[Number(own.TransmitMargin)] ?? 'Unknown'}, EnterModifiedCompliance{EnterModifiedCompliance} ComplianceSOS{ComplianceSOS}`,
        own,
      ),
      `\t\t\t Compliance Preset/De-emphasis: ${preset ? `${preset[0]}dB de-emphasis, ${preset[1]}dB preshoot` : 'Unknown'}`,
    );
  }
  const drs = shown && isDownstream(type) && own.DRSSupported === 1;
  const crosslink = ['unsupported', 'Upstream Port', 'Downstream Port', 'incomplete'][Number(own.CrosslinkResolution)];
  lines.push(
    fill(
      `\t\tLnkSta2: Current De-emphasis Level: ${tight(ExpressLink2.nameOf('CurrentDeemphasisLevel', own.CurrentDeemphasisLevel!))}, EqualizationComplete{EqualizationComplete} EqualizationPhase1{EqualizationPhase1Successful}`,
      own,
    ),
    fill(
      '\t\t\t EqualizationPhase2{EqualizationPhase2Successful} EqualizationPhase3{EqualizationPhase3Successful} LinkEqualizationRequest{LinkEqualizationRequest}',
      own,
    ),
    fill(
      `\t\t\t Retimer{RetimerPresenceDetected} 2Retimers{TwoRetimersPresenceDetected} CrosslinkRes: ${crosslink}, FltMode{FlitModeStatus}${drs ? ', DRS{DRSMessageReceived}' : ''}`,
      own,
    ),
  );
  if (drs) {
    const presence: { readonly [value: number]: string } = {
      0: 'Link Down - Not Determined',
      1: 'Link Down - Not Present',
      2: 'Link Down - Present',
      4: 'Link Up - Present',
      5: 'Link Up - Present and DRS Received',
    };
    lines.push(`\t\t\t DownstreamComp: ${presence[Number(own.DownstreamComponentPresence)] ?? 'Reserved'}`);
  }
  return lines;
}
