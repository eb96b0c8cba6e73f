import type { FieldInfo, Value } from '../bits/index.ts';
import {
  AdvancedFeatures,
  BridgeSubsystem,
  EaBridge,
  EaEntry,
  EnhancedAllocation,
  Msi,
  MsiAddress32,
  MsiAddress64,
  MsiMask,
  Msix,
  PowerManagement,
} from './capabilities.ts';
import {
  Agp,
  DebugPort,
  HyperTransport,
  HyperTransportMsi,
  HyperTransportMsiAddress,
  PciX,
  PciXBridge,
  SataIndexData,
  SlotIdentification,
  VendorSpecific,
  VirtioNotify,
  VirtioSharedMemory,
  VirtioStructure,
  VitalProductData,
} from './conventional.ts';
import { AerControl, AerRoot, CorrectableErrors, Dpc, DpcRootPort, UncorrectableErrors } from './errors.ts';
import {
  Device3,
  ExpressLink,
  ExpressLink2,
  ExpressRoot,
  ExpressSlot,
  ExpressSlot2,
  PciExpress,
  PciExpress2,
} from './express.ts';
import {
  DataObjectExchange,
  Dvsec,
  EventCollectorAssociation,
  EventCollectorBuses,
  Multicast,
  MulticastOverlay,
  RootComplexLink,
  RootComplexLinkEntry,
  SerialNumber,
  VcResource,
  VendorSpecificExtended,
  VirtualChannel,
} from './fabric.ts';
import { CommonHeader } from './header.ts';
import { Acs, Ari, Ats, Pasid, Pri, ResizableBar, Sriov } from './isolation.ts';
import {
  DataLinkFeature,
  L1PmSubstates,
  LaneMargining,
  Ltr,
  PhysicalLayer16,
  PhysicalLayer32,
  PhysicalLayer64,
  Ptm,
  SecondaryPciExpress,
  TphRequester,
} from './link.ts';
import { CAPABILITY, EXTENDED } from './names.ts';

/** An entry of any fields. */
export interface Structure {
  readonly name: string;
  readonly source: string;
  readonly bytes: number;
  readonly offset: number | undefined;
  readonly fields: readonly FieldInfo[];
  fits(view: DataView, at?: number): boolean;
  decode(view: DataView, at?: number): { [field: string]: Value };
  nameOf(field: string, value: Value): string | undefined;
}

/** A structure in configuration space. */
export interface Part {
  /** Its name, or what tells it from others of the same structure. */
  title: string;
  structure: Structure;
  /** Place in configuration space, in bytes. */
  offset: number;
}

/** What the size and shape of some capabilities depends on, besides themselves. */
export interface Surroundings {
  view: DataView;
  /** Device/Port Type of the PCI Express Capability; undefined without one. */
  portType: number | undefined;
  /** Where the next capability starts: lists of entries end there. */
  limit: number;
}

/** What a capability consists of. `fits` is asked before anything of a part is read. */
type Layout = (at: number, around: Surroundings) => Part[];

function part(structure: Structure, at: number, title: string = structure.name): Part {
  return { title, structure, offset: at + (structure.offset ?? 0) };
}

const only =
  (structure: Structure): Layout =>
  (at) => [part(structure, at)];

/** `count` entries of the same size, as far as there is room for them. */
function list(structure: Structure, at: number, count: number, around: Surroundings, title: (i: number) => string): Part[] {
  const parts: Part[] = [];
  for (let i = 0; i < count && at < around.limit; i++, at += structure.bytes)
    parts.push({ title: title(i), structure, offset: at });
  return parts;
}

const { endpoint, legacyEndpoint, rootPort, downstreamPort, bridgeFromPci, integratedEndpoint, eventCollector } =
  PciExpress.values.DevicePortType;

function express(at: number, { view }: Surroundings): Part[] {
  const parts = [part(PciExpress, at)];
  if (!PciExpress.fits(view, at)) return parts;
  const { CapabilityVersion, DevicePortType, SlotImplemented } = PciExpress.get;
  const type = DevicePortType(view, at);
  const link = type !== integratedEndpoint && type !== eventCollector;
  const slot = [rootPort, downstreamPort, bridgeFromPci].includes(type as 4) && SlotImplemented(view, at) === 1;
  if (link) parts.push(part(ExpressLink, at));
  if (slot) parts.push(part(ExpressSlot, at));
  if (type === rootPort || type === eventCollector) parts.push(part(ExpressRoot, at));
  if (CapabilityVersion(view, at) < 2) return parts;
  parts.push(part(PciExpress2, at));
  if (link) parts.push(part(ExpressLink2, at));
  if (slot) parts.push(part(ExpressSlot2, at));
  return parts;
}

function msi(at: number, { view }: Surroundings): Part[] {
  const parts = [part(Msi, at)];
  if (!Msi.fits(view, at)) return parts;
  const wide = Msi.get.AddressCapable64(view, at) === 1;
  parts.push(part(wide ? MsiAddress64 : MsiAddress32, at));
  if (Msi.get.PerVectorMaskingCapable(view, at)) parts.push(part(MsiMask, at + (wide ? 0x10 : 0x0c)));
  return parts;
}

function hyperTransport(at: number, { view }: Surroundings): Part[] {
  if (!HyperTransport.fits(view, at)) return [part(HyperTransport, at)];
  if (HyperTransport.get.CapabilityType(view, at) !== HyperTransportMsi.values.CapabilityType['MSI mapping'])
    return [part(HyperTransport, at)];
  const address = HyperTransportMsi.get.Fixed(view, at) ? [] : [part(HyperTransportMsiAddress, at)];
  return [part(HyperTransportMsi, at), ...address];
}

/** Virtio 1.2 §4.1.2. */
function isVirtio(view: DataView): boolean {
  const device = CommonHeader.get.DeviceID(view, 0);
  return CommonHeader.get.VendorID(view, 0) === 0x1af4 && device >= 0x1000 && device <= 0x107f;
}

function vendorSpecific(at: number, { view }: Surroundings): Part[] {
  const length = VendorSpecific.fits(view, at) ? VendorSpecific.get.CapabilityLength(view, at) : 0;
  if (!isVirtio(view) || length < VirtioStructure.bytes) return [part(VendorSpecific, at)];
  const parts = [part(VirtioStructure, at)];
  if (!VirtioStructure.fits(view, at)) return parts;
  const type = VirtioStructure.get.cfg_type(view, at);
  const { notifications, 'shared memory': shared } = VirtioStructure.values.cfg_type;
  if (type === notifications && length >= 20) parts.push(part(VirtioNotify, at));
  if (type === shared && length >= 24) parts.push(part(VirtioSharedMemory, at));
  return parts;
}

function enhancedAllocation(at: number, around: Surroundings): Part[] {
  const { view, limit } = around;
  const parts = [part(EnhancedAllocation, at)];
  if (!EnhancedAllocation.fits(view, at)) return parts;
  const bridge = CommonHeader.get.HeaderLayout(view, 0) === CommonHeader.values.HeaderLayout.type1;
  if (bridge) parts.push(part(EaBridge, at));
  let next = at + (bridge ? 8 : 4);
  const count = EnhancedAllocation.get.NumEntries(view, at);
  for (let i = 0; i < count && next < limit; i++) {
    parts.push(part(EaEntry, next, `Entry ${i}`));
    if (!EaEntry.fits(view, next)) break;
    next += 4 + 4 * EaEntry.get.EntrySize(view, next);
  }
  return parts;
}

function aer(at: number, { portType }: Surroundings): Part[] {
  const root = portType === rootPort || portType === eventCollector;
  return [
    part(UncorrectableErrors, at + 0x04, 'Uncorrectable Error Status'),
    part(UncorrectableErrors, at + 0x08, 'Uncorrectable Error Mask'),
    part(UncorrectableErrors, at + 0x0c, 'Uncorrectable Error Severity (fatal)'),
    part(CorrectableErrors, at + 0x10, 'Correctable Error Status'),
    part(CorrectableErrors, at + 0x14, 'Correctable Error Mask'),
    part(AerControl, at),
    ...(root ? [part(AerRoot, at)] : []),
  ];
}

function dpc(at: number, { view }: Surroundings): Part[] {
  const root = Dpc.fits(view, at) && Dpc.get.RPExtensions(view, at) === 1;
  return [part(Dpc, at), ...(root ? [part(DpcRootPort, at)] : [])];
}

function virtualChannel(at: number, around: Surroundings): Part[] {
  const { view } = around;
  const count = VirtualChannel.fits(view, at) ? 1 + VirtualChannel.get.ExtendedVCCount(view, at) : 0;
  return [part(VirtualChannel, at), ...list(VcResource, at + 0x10, count, around, (i) => `VC Resource ${i}`)];
}

function rootComplexLink(at: number, around: Surroundings): Part[] {
  const { view } = around;
  const count = RootComplexLink.fits(view, at) ? RootComplexLink.get.NumberOfLinkEntries(view, at) : 0;
  return [part(RootComplexLink, at), ...list(RootComplexLinkEntry, at + 0x10, count, around, (i) => `Link Entry ${i + 1}`)];
}

function eventCollectorAssociation(at: number, { view }: Surroundings): Part[] {
  const parts = [part(EventCollectorAssociation, at)];
  const version = EventCollectorAssociation.fits(view, at) ? EventCollectorAssociation.get.CapabilityVersion(view, at) : 0;
  return version >= 2 ? [...parts, part(EventCollectorBuses, at)] : parts;
}

function multicast(at: number, { portType }: Surroundings): Part[] {
  const ends = [endpoint, legacyEndpoint, integratedEndpoint].includes(portType as 0);
  return [part(Multicast, at), ...(ends ? [] : [part(MulticastOverlay, at)])];
}

/** At most six: PCIe 6.0 §7.8.6.3. The number stands in the first. */
const MOST_RESIZABLE = 6;

function resizableBars(at: number, around: Surroundings): Part[] {
  const { view } = around;
  const first = at + 4;
  const count = ResizableBar.fits(view, first) ? ResizableBar.get.NumberOfResizableBARs(view, first) : 1;
  return list(ResizableBar, first, Math.min(Math.max(count, 1), MOST_RESIZABLE), around, (i) => `Resizable BAR ${i + 1}`);
}

const CONVENTIONAL_LAYOUTS: { readonly [id: number]: Layout } = {
  [CAPABILITY.PM]: only(PowerManagement),
  [CAPABILITY.AGP]: only(Agp),
  [CAPABILITY.VPD]: only(VitalProductData),
  [CAPABILITY.SLOTID]: only(SlotIdentification),
  [CAPABILITY.MSI]: msi,
  [CAPABILITY.PCIX]: (at, { view }) => [part(CommonHeader.get.HeaderLayout(view, 0) === 1 ? PciXBridge : PciX, at)],
  [CAPABILITY.HT]: hyperTransport,
  [CAPABILITY.VNDR]: vendorSpecific,
  [CAPABILITY.DBG]: only(DebugPort),
  [CAPABILITY.SSVID]: only(BridgeSubsystem),
  [CAPABILITY.EXP]: express,
  [CAPABILITY.MSIX]: only(Msix),
  [CAPABILITY.SATA]: only(SataIndexData),
  [CAPABILITY.AF]: only(AdvancedFeatures),
  [CAPABILITY.EA]: enhancedAllocation,
};

const EXTENDED_LAYOUTS: { readonly [id: number]: Layout } = {
  [EXTENDED.AER]: aer,
  [EXTENDED.VC]: virtualChannel,
  [EXTENDED.VC9]: virtualChannel,
  [EXTENDED.DSN]: only(SerialNumber),
  [EXTENDED.RCLD]: rootComplexLink,
  [EXTENDED.RCEC]: eventCollectorAssociation,
  [EXTENDED.VNDR]: only(VendorSpecificExtended),
  [EXTENDED.ACS]: only(Acs),
  [EXTENDED.ARI]: only(Ari),
  [EXTENDED.ATS]: only(Ats),
  [EXTENDED.SRIOV]: only(Sriov),
  [EXTENDED.MCAST]: multicast,
  [EXTENDED.PRI]: only(Pri),
  [EXTENDED.REBAR]: resizableBars,
  [EXTENDED.TPH]: only(TphRequester),
  [EXTENDED.LTR]: only(Ltr),
  [EXTENDED.SECPCI]: only(SecondaryPciExpress),
  [EXTENDED.PASID]: only(Pasid),
  [EXTENDED.DPC]: dpc,
  [EXTENDED.L1SS]: only(L1PmSubstates),
  [EXTENDED.PTM]: only(Ptm),
  [EXTENDED.DVSEC]: only(Dvsec),
  [EXTENDED.VFREBAR]: resizableBars,
  [EXTENDED.DLF]: only(DataLinkFeature),
  [EXTENDED.PL_16GT]: only(PhysicalLayer16),
  [EXTENDED.LMR]: only(LaneMargining),
  [EXTENDED.PL_32GT]: only(PhysicalLayer32),
  [EXTENDED.DOE]: only(DataObjectExchange),
  [EXTENDED.DEV3]: only(Device3),
  [EXTENDED.PL_64GT]: only(PhysicalLayer64),
};

/**
 * The structures that a capability consists of, the first one first; none when it is only named. They may reach beyond what
 * was read, and beyond the end of configuration space.
 */
export function layOut(id: number, extended: boolean, at: number, around: Surroundings): Part[] {
  return (extended ? EXTENDED_LAYOUTS : CONVENTIONAL_LAYOUTS)[id]?.(at, around) ?? [];
}
