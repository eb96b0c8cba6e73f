import {
  type Config,
  CXL_DVSECS,
  CXL_VENDOR,
  DataObjectExchange,
  Dvsec,
  EventCollectorAssociation,
  EventCollectorBuses,
  Multicast,
  MulticastOverlay,
  portType,
  RootComplexLink,
  RootComplexLinkEntry,
  SerialNumber,
  VcResource,
  VirtualChannel,
} from '../../src/pci/index.ts';
import type { Lines } from './pci-conventional.ts';
import { fill, hex, read } from './pci-words.ts';

const ARBITRATION = ['Fixed', 'WRR32', 'WRR64', 'WRR128', 'TWRR128', 'WRR256', '??6', '??7'];

/** `Fixed+ WRR32-`: the `known` lowest bits, and those above where they are set. */
const arbitration = (mask: number, known: number) =>
  ARBITRATION.map((name, i) => (i < 4 || known > 4 ? name : `??${i}`))
    .flatMap((name, i) => (i < known || mask & (1 << i) ? [`${name}${mask & (1 << i) ? '+' : '-'}`] : []))
    .join(' ');

export function virtualChannel(config: Config, at: number): Lines {
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

export function serialNumber(config: Config, at: number): Lines {
  const own = read(config, SerialNumber, at);
  if (!own) return [undefined];
  return [`Device Serial Number ${hex(own.SerialNumber as bigint, 16).replace(/(..)(?=.)/g, '$1-')}`];
}

export function rootComplexLink(config: Config, at: number): Lines {
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

export function eventCollector(config: Config, at: number): Lines {
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

export function multicast(config: Config, at: number): Lines {
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

export function dvsec(config: Config, at: number): Lines {
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

export function doe(config: Config, at: number): Lines {
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
