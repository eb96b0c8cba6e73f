import {
  type Bar,
  type Bridge,
  barsOf,
  CommonHeader,
  type Config,
  romOf,
  Type0Header,
  Type1Header,
  type Window,
  windowsOf,
} from '../../src/pci/index.ts';
import { fill, hex, need, shortSize, type Values } from './pci-words.ts';

/** What lspci prints of a function above its capabilities, without the names of pci.ids. */
export function headerLines(config: Config): string[] {
  const header = need(config, CommonHeader, 0);
  const lines = [titleLine(config)];
  const { subsystem } = config;
  if (subsystem && subsystem.vendor !== 0 && subsystem.vendor !== 0xffff)
    lines.push(`\tSubsystem: [${hex(subsystem.vendor, 4)}:${hex(subsystem.device, 4)}]`);
  lines.push(
    fill(
      '\tControl: I/O{IOSpaceEnable} Mem{MemorySpaceEnable} BusMaster{BusMasterEnable} SpecCycle{SpecialCycleEnable} MemWINV{MemoryWriteInvalidate} VGASnoop{VGAPaletteSnoop} ParErr{ParityErrorResponse} Stepping{IDSELStepping} SERR{SERREnable} FastB2B{FastBackToBackEnable} DisINTx{InterruptDisable}',
      header,
    ),
    fill(
      '\tStatus: Cap{CapabilitiesList} 66MHz{Capable66MHz} UDF{UDF} FastB2B{FastBackToBackCapable} ParErr{MasterDataParityError} DEVSEL={DEVSELTiming:s} >TAbort{SignaledTargetAbort} <TAbort{ReceivedTargetAbort} <MAbort{ReceivedMasterAbort} >SERR{SignaledSystemError} <PERR{DetectedParityError} INTx{InterruptStatus}',
      header,
      CommonHeader,
    ).replace('?3', '??'),
  );
  const own = config.layout === 'type1' ? need(config, Type1Header, 0) : need(config, Type0Header, 0);
  if (header.BusMasterEnable) lines.push(latencyLine(header, config.layout === 'type0' ? own : undefined));
  lines.push(...interruptLines(header, own));
  if (header.BISTCapable)
    lines.push(header.StartBIST ? '\tBIST is running' : fill('\tBIST result: {BISTCompletionCode:x2}', header));
  lines.push(...barsOf(config).map((bar) => regionLine(bar, header)));
  if (config.bridge) lines.push(busLine(config.bridge, config));
  if (config.layout === 'type1') lines.push(...bridgeLines(config, own));
  const rom = romOf(config);
  if (rom) {
    const place = rom.base === 0 ? '<unassigned>' : hex(rom.base, 8);
    const state = rom.enabled ? (header.MemorySpaceEnable ? '' : ' [disabled by cmd]') : ' [disabled]';
    lines.push(`\tExpansion ROM at ${place}${state}`);
  }
  if (config.layout === 'type1')
    lines.push(
      fill(
        '\tBridgeCtl: Parity{SecondaryParityErrorResponse} SERR{SecondarySERREnable} NoISA{ISAEnable} VGA{VGAEnable} VGA16{VGA16BitDecode} MAbort{MasterAbortMode} >Reset{SecondaryBusReset} FastB2B{SecondaryFastBackToBackEnable}',
        own,
      ),
      fill(
        '\t\tPriDiscTmr{PrimaryDiscardTimer} SecDiscTmr{SecondaryDiscardTimer} DiscTmrStat{DiscardTimerStatus} DiscTmrSERREn{DiscardTimerSERREnable}',
        own,
      ),
    );
  return lines;
}

/** `[0604]: [8086:3b42] (rev 05) (prog-if 01)`. lspci leaves a programming interface of 0 out when it has no name for it. */
function titleLine({ classCode, vendor, device, revision }: Config): string {
  const interface_ = classCode & 0xff;
  return `[${hex(classCode >> 8, 4)}]: [${hex(vendor, 4)}:${hex(device, 4)}]${revision ? ` (rev ${hex(revision, 2)})` : ''}${interface_ ? ` (prog-if ${hex(interface_, 2)})` : ''}`;
}

function latencyLine(header: Values, type0: Values | undefined): string {
  const { LatencyTimer, CacheLineSize } = header;
  const [least, most] = [Number(type0?.Min_Gnt ?? 0), Number(type0?.Max_Lat ?? 0)];
  const bounds = [...(least ? [`${least * 250}ns min`] : []), ...(most ? [`${most * 250}ns max`] : [])];
  const line = CacheLineSize ? `, Cache Line Size: ${Number(CacheLineSize) * 4} bytes` : '';
  return `\tLatency: ${LatencyTimer as number}${bounds.length ? ` (${bounds.join(', ')})` : ''}${line}`;
}

function interruptLines(header: Values, { InterruptPin, InterruptLine }: Values): string[] {
  const pin = Number(InterruptPin);
  // lspci 3.15 counts the letters from pin 0: it writes B for INTA.
  const name = pin > 0 && pin <= 4 ? `pin ${String.fromCharCode(65 + pin)}` : 'unknown pin';
  if (header.InterruptDisable) return pin > 0 ? [`\tInterrupts: ${name} disabled`] : [];
  if (InterruptLine) return [`\tInterrupts: ${name} routed to IRQ ${InterruptLine as number}`];
  return pin > 0 ? [`\tInterrupts: ${name}`] : [];
}

function regionLine({ index, space, width, prefetchable, base }: Bar, header: Values): string {
  if (space === 'io') {
    const place = base || header.IOSpaceEnable ? hex(base, 4) : '<unassigned>';
    return `\tRegion ${index}: I/O ports at ${place}${header.IOSpaceEnable ? '' : ' [disabled]'}`;
  }
  const place = base ? hex(base, 8) : '<unassigned>';
  return `\tRegion ${index}: Memory at ${place} (${width}-bit, ${prefetchable ? '' : 'non-'}prefetchable)${header.MemorySpaceEnable ? '' : ' [disabled]'}`;
}

const WINDOWS = { io: 'I/O', memory: 'Memory', prefetchable: 'Prefetchable memory' } as const;

function busLine({ primary, secondary, subordinate }: Bridge, { view }: Config): string {
  return `\tBus: primary=${hex(primary, 2)}, secondary=${hex(secondary, 2)}, subordinate=${hex(subordinate, 2)}, sec-latency=${Type1Header.get.SecondaryLatencyTimer(view, 0)}`;
}

function bridgeLines(config: Config, own: Values): string[] {
  return [
    ...windowsOf(config).map(windowLine),
    fill(
      '\tSecondary status: 66MHz{Secondary66MHzCapable} FastB2B{SecondaryFastBackToBackCapable} ParErr{SecondaryMasterDataParityError} DEVSEL={SecondaryDEVSELTiming:s} >TAbort{SecondarySignaledTargetAbort} <TAbort{SecondaryReceivedTargetAbort} <MAbort{SecondaryReceivedMasterAbort} <SERR{ReceivedSystemError} <PERR{SecondaryDetectedParityError}',
      own,
      Type1Header,
    ).replace('?3', '??'),
  ];
}

function windowLine({ space, width, base, limit }: Window): string {
  if (width === undefined)
    return `\t!!! Unknown ${space === 'io' ? 'I/O' : space === 'memory' ? 'memory' : 'prefetchable memory'} range types`;
  const digits = width / 4;
  const size = base <= limit ? `size=${shortSize(limit - base + 1)}` : 'disabled';
  return `\t${WINDOWS[space]} behind bridge: ${hex(base, digits)}-${hex(limit, digits)} [${size}] [${width}-bit]`;
}
