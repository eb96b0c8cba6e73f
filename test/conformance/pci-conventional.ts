import {
  AdvancedFeatures,
  Agp,
  BridgeSubsystem,
  CAPABILITY,
  type Config,
  DebugPort,
  EaBridge,
  EaEntry,
  EnhancedAllocation,
  HyperTransport,
  HyperTransportMsi,
  HyperTransportMsiAddress,
  Msi,
  MsiAddress32,
  MsiAddress64,
  MsiMask,
  Msix,
  PciX,
  PciXBridge,
  PowerManagement,
  SataIndexData,
  SlotIdentification,
  VendorSpecific,
  VirtioNotify,
  VirtioSharedMemory,
  VirtioStructure,
} from '../../src/pci/index.ts';
import { expressLines } from './pci-express.ts';
import { fill, hex, need, read } from './pci-words.ts';

/** lspci's lines for one capability; `undefined` stands for lines that it prints and we do not compare. */
export type Lines = (string | undefined)[];
/** The address counts for lspci in one place only. */
export type Words = (config: Config, at: number, bdf: string) => Lines;

function powerManagement(config: Config, at: number): Lines {
  const pm = need(config, PowerManagement, at);
  const current = PowerManagement.nameOf('AuxCurrent', pm.AuxCurrent!)!.replace(' ', '');
  const bridge = pm.B2_B3 || pm.BPCC_En || pm.RSVD_48;
  return [
    fill('Power Management version {Version:d}', pm),
    fill(
      `\t\tFlags: PMEClk{PMEClock} DSI{DSI} D1{D1_Support} D2{D2_Support} AuxCurrent=${current} PME(D0{PMEFromD0},D1{PMEFromD1},D2{PMEFromD2},D3hot{PMEFromD3hot},D3cold{PMEFromD3cold})`,
      pm,
    ),
    fill(
      '\t\tStatus: D{PowerState:d} NoSoftRst{No_Soft_Reset} PME-Enable{PME_En} DSel={Data_Select:d} DScale={Data_Scale:d} PME{PME_Status}',
      pm,
    ),
    // lspci shows the bit of B2/B3 as "B3", so turned round.
    ...(bridge ? [fill(`\t\tBridge: PM{BPCC_En} B3${pm.B2_B3 ? '-' : '+'}`, pm)] : []),
  ];
}

function msi(config: Config, at: number): Lines {
  const control = need(config, Msi, at);
  const wide = control.AddressCapable64 === 1;
  const address = need(config, wide ? MsiAddress64 : MsiAddress32, at);
  const lines = [
    fill(
      'MSI: Enable{MSIEnable} Count={MultipleMessageEnable:s}/{MultipleMessageCapable:s} Maskable{PerVectorMaskingCapable} 64bit{AddressCapable64}',
      control,
      Msi,
    ).replace(/\?([67])/g, (_, power) => `${2 ** Number(power)}`),
    fill(`\t\tAddress: ${wide ? '{MessageUpperAddress:x8}' : ''}{MessageAddress:x8}  Data: {MessageData:x4}`, address),
  ];
  if (control.PerVectorMaskingCapable)
    lines.push(fill('\t\tMasking: {MaskBits:x8}  Pending: {PendingBits:x8}', need(config, MsiMask, at + (wide ? 0x10 : 0x0c))));
  return lines;
}

function msix(config: Config, at: number): Lines {
  const own = need(config, Msix, at);
  const place = (bir: string, offset: string) => `BAR=${own[bir] as number} offset=${hex(Number(own[offset]) * 8, 8)}`;
  return [
    fill(`MSI-X: Enable{MSIXEnable} Count=${Number(own.TableSize) + 1} Masked{FunctionMask}`, own),
    `\t\tVector table: ${place('TableBIR', 'TableOffset')}`,
    `\t\tPBA: ${place('PBABIR', 'PBAOffset')}`,
  ];
}

function advancedFeatures(config: Config, at: number): Lines {
  const own = need(config, AdvancedFeatures, at);
  return [
    'PCI Advanced Features',
    fill('\t\tAFCap: TP{TP_CAP} FLR{FLR_CAP}', own),
    fill('\t\tAFCtrl: FLR{INITIATE_FLR}', own),
    fill('\t\tAFStatus: TP{TP}', own),
  ];
}

function pciX(config: Config, at: number): Lines {
  const bridge = config.layout === 'type1';
  const own = need(config, bridge ? PciXBridge : PciX, at);
  const place = fill('Dev={BusNumber:x2}:{DeviceNumber:x2}.{FunctionNumber:d} 64bit{Device64Bit} 133MHz{Capable133MHz}', own);
  if (bridge) {
    const clock = PciXBridge.nameOf('SecondaryClockFrequency', own.SecondaryClockFrequency!);
    const frequency =
      clock === 'conventional PCI' ? 'conv' : (clock?.replace(' ', '') ?? `?${own.SecondaryClockFrequency as number}`);
    return [
      'PCI-X bridge device',
      fill(
        `\t\tSecondary Status: 64bit{SecondaryDevice64Bit} 133MHz{SecondaryCapable133MHz} SCD{SecondarySplitCompletionDiscarded} USC{SecondaryUnexpectedSplitCompletion} SCO{SecondarySplitCompletionOverrun} SRD{SecondarySplitRequestDelayed} Freq=${frequency}`,
        own,
      ),
      fill(
        `\t\tStatus: ${place} SCD{SplitCompletionDiscarded} USC{UnexpectedSplitCompletion} SCO{SplitCompletionOverrun} SRD{SplitRequestDelayed}`,
        own,
      ),
      fill(
        '\t\tUpstream: Capacity={UpstreamSplitTransactionCapacity:d} CommitmentLimit={UpstreamSplitTransactionCommitmentLimit:d}',
        own,
      ),
      fill(
        '\t\tDownstream: Capacity={DownstreamSplitTransactionCapacity:d} CommitmentLimit={DownstreamSplitTransactionCommitmentLimit:d}',
        own,
      ),
    ];
  }
  const plain = (text: string) => text.replace(/ bytes/, '');
  return [
    'PCI-X non-bridge device',
    plain(
      fill(
        '\t\tCommand: DPERE{DataParityErrorRecoveryEnable} ERO{EnableRelaxedOrdering} RBC={MaximumMemoryReadByteCount:s} OST={MaximumOutstandingSplitTransactions:s}',
        own,
        PciX,
      ),
    ),
    plain(
      fill(
        `\t\tStatus: ${place} SCD{SplitCompletionDiscarded} USC{UnexpectedSplitCompletion} DC={DeviceComplexity:s} DMMRBC={DesignedMaximumMemoryReadByteCount:s} DMOST={DesignedMaximumOutstandingSplitTransactions:s} DMCRS={DesignedMaximumCumulativeReadSize:s} RSCEM{ReceivedSplitCompletionErrorMessage} 266MHz{Capable266MHz} 533MHz{Capable533MHz}`,
        own,
        PciX,
      ),
    ).replace(/DMCRS=(\d+) KB/, (_, kilobytes) => `DMCRS=${Number(kilobytes) * 8}`),
  ];
}

function agp(config: Config, at: number): Lines {
  const own = need(config, Agp, at);
  const third = Number(own.MajorRevision) >= 3 && own.AGP3Mode === 1;
  const rates = (mask: number) =>
    [0, 1, 2].flatMap((n) => (mask & (1 << n) ? [`x${2 ** (n + (third ? 2 : 0))}`] : [])).join(',') || '<none>';
  return [
    fill('AGP version {MajorRevision:x}.{MinorRevision:x}', own),
    fill(
      `\t\tStatus: RQ=${Number(own.RequestQueue) + 1} Iso{IsochronousSupported} ArqSz={OptimumRequestSize:d} Cal={CalibrationCycle:d} SBA{SBASupported} ITACoh{ITACoherent} GART64{GART64Supported} HTrans{HTRANS} 64bit{Over4GSupported} FW{FastWriteSupported} AGP3{AGP3Mode} Rate=${rates(Number(own.RateSupported))}`,
      own,
    ),
    fill(
      `\t\tCommand: RQ=${Number(own.ProgrammedRequestQueue) + 1} ArqSz={ProgrammedRequestSize:d} Cal={ProgrammedCalibrationCycle:d} SBA{SBAEnable} AGP{AGPEnable} GART64{GART64Enable} 64bit{Over4GEnable} FW{FastWriteEnable} Rate=${rates(Number(own.Rate))}`,
      own,
    ),
  ];
}

const HT_WORDS: { readonly [type: string]: string } = {
  switch: 'Switch',
  'interrupt discovery and configuration': 'Interrupt Discovery and Configuration',
  'UnitID clumping': 'UnitID Clumping',
  'extended configuration space access': 'Extended Configuration Space Access',
  'address mapping': 'Address Mapping',
  DirectRoute: 'DirectRoute',
  VCSet: 'VCSet',
  'retry mode': 'Retry Mode',
  'X86 encoding': 'X86 (reserved)',
};

function hyperTransport(config: Config, at: number): Lines {
  const { CapabilityType, Command } = need(config, HyperTransport, at);
  const type = Number(CapabilityType);
  // Below 8 only the upper three of the five bits are the type.
  if (type < 4) return ['HyperTransport: Slave or Primary Interface', undefined];
  if (type < 8) return ['HyperTransport: Host or Secondary Interface', undefined];
  const name = HyperTransport.nameOf('CapabilityType', type);
  if (name === 'revision ID')
    return [`HyperTransport: Revision ID: ${(Number(Command) >> 5) & 7}.${`${Number(Command) & 31}`.padStart(2, '0')}`];
  if (name !== 'MSI mapping') return [`HyperTransport: ${(name && HT_WORDS[name]) ?? `#${hex(type, 2)}`}`];
  const mapping = need(config, HyperTransportMsi, at);
  const heading = fill('HyperTransport: MSI Mapping Enable{En} Fixed{Fixed}', mapping);
  if (mapping.Fixed) return [heading];
  const { MappingAddress, MappingAddressUpper } = need(config, HyperTransportMsiAddress, at);
  return [heading, `\t\tMapping Address Base: ${hex(Number(MappingAddressUpper), 8)}${hex(Number(MappingAddress), 3)}00000`];
}

const VIRTIO_WORDS: { readonly [type: string]: string } = {
  'common configuration': 'CommonCfg',
  notifications: 'Notify',
  'ISR status': 'ISR',
  'device configuration': 'DeviceCfg',
  'shared memory': 'SharedMemory',
};

function vendorSpecific(config: Config, at: number): Lines {
  const { CapabilityLength } = need(config, VendorSpecific, at);
  // What Intel keeps in its own is known to lspci and not to us.
  if (config.vendor === 0x8086) return [undefined];
  const isVirtio = config.vendor === 0x1af4 && config.device >= 0x1000 && config.device <= 0x107f;
  const virtio = isVirtio && Number(CapabilityLength) >= 16 ? read(config, VirtioStructure, at) : undefined;
  if (!virtio) return [`Vendor Specific Information: Len=${hex(Number(CapabilityLength), 2)} <?>`];
  const type = VirtioStructure.nameOf('cfg_type', virtio.cfg_type!);
  const heading = `Vendor Specific Information: VirtIO: ${(type && VIRTIO_WORDS[type]) ?? '<unknown>'}`;
  if (type === 'shared memory') {
    const { offset_hi, length_hi } = need(config, VirtioSharedMemory, at);
    return [
      heading,
      fill(
        `\t\tBAR={bar:d} offset=${hex(Number(offset_hi), 8)}{offset:x8} size=${hex(Number(length_hi), 8)}{length:x8} id={id:d}`,
        virtio,
      ),
    ];
  }
  const multiplier =
    type === 'notifications' && Number(CapabilityLength) >= 20
      ? fill(' multiplier={notify_off_multiplier:x8}', need(config, VirtioNotify, at))
      : '';
  return [heading, fill(`\t\tBAR={bar:d} offset={offset:x8} size={length:x8}${multiplier}`, virtio)];
}

function enhancedAllocation(config: Config, at: number): Lines {
  const { NumEntries } = need(config, EnhancedAllocation, at);
  const bridge = config.layout === 'type1' ? need(config, EaBridge, at) : undefined;
  const buses = bridge ? fill(', secondary={FixedSecondaryBusNumber:d}, subordinate={FixedSubordinateBusNumber:d}', bridge) : '';
  const lines: Lines = [`Enhanced Allocation (EA): NumEntries=${NumEntries as number}${buses}`];
  let next = at + (bridge ? 8 : 4);
  for (let i = 0; i < Number(NumEntries); i++) {
    const entry = need(config, EaEntry, next);
    const property = (field: string) => EaEntry.nameOf(field as 'BEI', entry[field]!) ?? `[${hex(Number(entry[field]), 2)}]`;
    const secondary = property('SecondaryProperties').replace(/^entry unavailable.*/, '$&, PrimaryProperties should be used');
    const upper = (has: unknown, offset: number) => (has ? hex(config.view.getUint32(next + offset, true)) : '');
    lines.push(
      fill(`\t\tEntry ${i}: Enable{Enable} Writable{Writable} EntrySize={EntrySize:d}`, entry),
      `\t\t\t BAR Equivalent Indicator: ${property('BEI')}`,
      `\t\t\t PrimaryProperties: ${property('PrimaryProperties')}`,
      `\t\t\t SecondaryProperties: ${secondary}`,
      `\t\t\t Base: ${upper(entry.BaseIs64, 12)}${hex(Number(entry.Base) * 4, 8)}`,
      `\t\t\t MaxOffset: ${upper(entry.MaxOffsetIs64, entry.BaseIs64 ? 16 : 12)}${hex(Number(entry.MaxOffset) * 4 + 3, 8)}`,
    );
    next += 4 + 4 * Number(entry.EntrySize);
  }
  return lines;
}

function sata(config: Config, at: number): Lines {
  const own = need(config, SataIndexData, at);
  const name = SataIndexData.nameOf('BARLocation', own.BARLocation!);
  const place =
    name === undefined
      ? fill('BAR??{BARLocation:d}', own)
      : name.replace('BAR ', 'BAR').replace('in this capability', 'InCfgSpace');
  return [
    fill(`SATA HBA v{MajorRevision:d}.{MinorRevision:d} ${place}${name?.startsWith('BAR') ? ' Offset={BAROffset:x8}' : ''}`, own),
  ];
}

function subsystem(config: Config, at: number): Lines {
  return [fill('Subsystem: [{SSVID:x4}:{SSID:x4}]', need(config, BridgeSubsystem, at))];
}

/** By capability ID. Those that are not here are only named. */
export const CONVENTIONAL_WORDS: { readonly [id: number]: Words } = {
  [CAPABILITY.null]: () => ['Null'],
  [CAPABILITY.PM]: powerManagement,
  [CAPABILITY.AGP]: agp,
  // Its contents are no part of configuration space.
  [CAPABILITY.VPD]: () => ['Vital Product Data', undefined],
  [CAPABILITY.SLOTID]: (config, at) => [
    fill(
      'Slot ID: {ExpansionSlotsProvided:d} slots, First{FirstInChassis}, chassis {ChassisNumber:x2}',
      need(config, SlotIdentification, at),
    ),
  ],
  [CAPABILITY.MSI]: msi,
  [CAPABILITY.CHSWP]: () => ['CompactPCI hot-swap <?>'],
  [CAPABILITY.PCIX]: pciX,
  [CAPABILITY.HT]: hyperTransport,
  [CAPABILITY.VNDR]: vendorSpecific,
  [CAPABILITY.DBG]: (config, at) => [
    fill('Debug port: BAR={BARNumber:d} offset={DebugPortOffset:x4}', need(config, DebugPort, at)),
  ],
  [CAPABILITY.CCRC]: () => ['CompactPCI central resource control <?>'],
  [CAPABILITY.SHPC]: () => ['Hot-plug capable'],
  [CAPABILITY.SSVID]: subsystem,
  [CAPABILITY.AGP3]: () => ['AGP3 <?>'],
  [CAPABILITY.SECDEV]: () => ['Secure device <?>'],
  [CAPABILITY.EXP]: expressLines,
  [CAPABILITY.MSIX]: msix,
  [CAPABILITY.SATA]: sata,
  [CAPABILITY.AF]: advancedFeatures,
  [CAPABILITY.EA]: enhancedAllocation,
};
