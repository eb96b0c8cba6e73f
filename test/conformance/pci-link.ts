import {
  type Config,
  Device3,
  L1PmSubstates,
  Ltr,
  PhysicalLayer32,
  Ptm,
  SecondaryPciExpress,
  type Structure,
} from '../../src/pci/index.ts';
import type { Lines } from './pci-conventional.ts';
import { fill, read, type Values } from './pci-words.ts';

const NANOSECONDS = (scale: number) => 32 ** scale;

export function ltr(config: Config, at: number): Lines {
  const own = read(config, Ltr, at);
  if (!own) return ['Latency Tolerance Reporting'];
  const time = (value: string, scale: string) => `${Number(own[value]) * NANOSECONDS(Number(own[scale]))}ns`;
  return [
    'Latency Tolerance Reporting',
    `\t\tMax snoop latency: ${time('MaxSnoopLatencyValue', 'MaxSnoopLatencyScale')}`,
    `\t\tMax no snoop latency: ${time('MaxNoSnoopLatencyValue', 'MaxNoSnoopLatencyScale')}`,
  ];
}

export function secondary(config: Config, at: number): Lines {
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

export function l1pm(config: Config, at: number): Lines {
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

export function ptm(config: Config, at: number): Lines {
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

export function equalization(structure: Structure, generation: number, config: Config, at: number): [string, Values] | undefined {
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

export function physicalLayer32(config: Config, at: number): Lines {
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

const L0P_WORDS = [
  'Less than 1us',
  '1us to less than 2us',
  '2us to less than 4us',
  '4us to less than 8us',
  '8us to less than 16us',
  '16us to less than 32us',
  '32us-64us',
  'More than 64us',
];

export function device3(config: Config, at: number): Lines {
  const own = read(config, Device3, at);
  if (!own) return ['Device 3', undefined];
  const width = (value: unknown) =>
    ['x1', 'x2', 'x4', 'x8', 'x16', undefined, undefined, 'Dynamic'][Number(value)] ?? `Unknown (${value as number})`;
  const latencies = own.L0pSupported
    ? `, Port L0p Exit Latency: ${L0P_WORDS[Number(own.PortL0pExitLatency)]}, Retimer L0p Exit Latency: ${L0P_WORDS[Number(own.RetimerL0pExitLatency)]}`
    : '';
  return [
    'Device 3',
    fill(
      '\t\tDevCap3: DMWr Request Routing{DMWrRequestRoutingSupported}, 14-Bit Tag Completer{TagCompleter14BitSupported}, 14-Bit Tag Requester{TagRequester14BitSupported}',
      own,
    ),
    fill(`\t\t\t L0p{L0pSupported}${latencies}`, own),
    fill(
      '\t\t\t UIO Mem RdWr Completer{UIOMemRdWrCompleterSupported}, UIO Mem RdWr Requester{UIOMemRdWrRequesterSupported}',
      own,
    ),
    fill(
      '\t\tDevCtl3: DMWr Requester{DMWrRequesterEnable}, DMWr Egress Blocking{DMWrEgressBlocking}, 14-Bit Tag Requester{TagRequester14BitEnable}',
      own,
    ),
    fill(`\t\t\t L0p{L0pEnable}, Target Link Width: ${width(own.TargetLinkWidth)}`, own),
    fill(
      `\t\t\t UIO Mem RdWr Requester{UIOMemRdWrRequesterEnable}, UIO Request 256B Boundary${own.UIORequest256BBoundaryDisable ? '-' : '+'}`,
      own,
    ),
    fill(
      `\t\tDevSta3: Initial Link Width: ${width(own.InitialLinkWidth)}, Segment Captured{SegmentCaptured}, Remote L0p{RemoteL0pSupported}`,
      own,
    ),
  ];
}
