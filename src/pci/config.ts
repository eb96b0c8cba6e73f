import { type Decoded, type Entry, type Fields, hex, type Values, viewOf } from '../bits/index.ts';
import { BridgeSubsystem, CapabilityHeader, ExtendedCapabilityHeader } from './capabilities.ts';
import { PciExpress } from './express.ts';
import { CommonHeader, Type0Header, Type1Header } from './header.ts';
import { ResizableBar } from './isolation.ts';
import { CAPABILITY, capabilityName, EXTENDED } from './names.ts';
import { layOut, type Part } from './structures.ts';

/** Something in a function's configuration space that is not as it should be. */
export interface ConfigFinding {
  is:
    | 'absent'
    /** More was there, but not read: nothing that is wrong with the function. */
    | 'short'
    | 'bad-pointer'
    | 'loop'
    | 'broken-chain'
    | 'unknown-layout'
    /** A capability that reaches beyond the end of its space. */
    | 'overrun'
    /** A capability that begins inside another. */
    | 'overlap'
    | 'bad-value';
  /** Byte that it is about: always one that was read. */
  offset: number;
  says: string;
}

export interface Capability {
  id: number;
  name: string;
  /** Place in configuration space, in bytes. */
  offset: number;
  extended: boolean;
  /** Of an extended capability; 0 for the others. */
  version: number;
}

export interface Bridge {
  primary: number;
  secondary: number;
  subordinate: number;
}

/** What can be told from a function's configuration space. */
export interface Config {
  readonly view: DataView;
  /** Bytes that were read: 64 without privilege, 256 for conventional PCI, 4096 with extended space. */
  readonly length: number;
  readonly header: Decoded<typeof CommonHeader>;
  /** 0xffff in a VF, whose PF tells. */
  readonly vendor: number;
  readonly device: number;
  /** Class, subclass and programming interface, 24 bits. */
  readonly classCode: number;
  readonly revision: number;
  readonly layout: 'type0' | 'type1' | 'cardBus' | 'unknown';
  readonly multiFunction: boolean;
  /** Undefined where the header has no place for it and no capability says it. */
  readonly subsystem: { vendor: number; device: number } | undefined;
  /** Of a bridge to PCI or to CardBus. */
  readonly bridge: Bridge | undefined;
  /** In the order of the chain, the extended ones after the others. */
  readonly capabilities: readonly Capability[];
  readonly findings: readonly ConfigFinding[];
}

const HEADER = 64;
const EXTENDED_START = 256;
const EXTENDED_END = 4096;
/** PC Card 8.0 §4.5.2. */
const CARDBUS_SUBSYSTEM = 0x40;

/**
 * Reads configuration space of any length: what is missing, looped or broken becomes a finding and the rest is still told.
 * Never throws. Source: PCIe 6.0 §7.5, §7.6.
 *
 * @returns undefined when there are not even the 64 bytes of a header
 */
export function readConfig(bytes: Uint8Array): Config | undefined {
  const view = viewOf(bytes);
  if (bytes.length < HEADER) return undefined;
  const findings: ConfigFinding[] = [];
  const header = CommonHeader.decode(view);
  const layout = CommonHeader.nameOf('HeaderLayout', header.HeaderLayout) as 'type0' | 'type1' | 'cardBus' | undefined;
  const absent = bytes.subarray(0, HEADER).every((byte) => byte === 0xff);
  if (absent) findings.push({ is: 'absent', offset: 0, says: 'all ones: no function answers, or it is powered off' });
  else if (!layout)
    findings.push({ is: 'unknown-layout', offset: 0x0e, says: `header layout ${header.HeaderLayout} is not defined` });

  const capabilities: Capability[] = [];
  if (!absent && header.CapabilitiesList && layout) {
    const pointer = layout === 'cardBus' ? 0x14 : 0x34;
    if (bytes.length === HEADER)
      findings.push({ is: 'short', offset: pointer, says: 'only the header was read: reading capabilities needs privilege' });
    else walkCapabilities(view, pointer, capabilities, findings);
    // Without one of these two there is no extended space, and bridges may show the first 256 bytes again in its place.
    if (capabilities.some(({ id }) => id === CAPABILITY.EXP || id === CAPABILITY.PCIX))
      walkExtended(view, capabilities, findings);
    checkBodies(view, capabilities, findings);
  }

  const config: Config = {
    view,
    length: bytes.length,
    header,
    vendor: header.VendorID,
    device: header.DeviceID,
    classCode: header.ClassCode,
    revision: header.RevisionID,
    layout: layout ?? 'unknown',
    multiFunction: header.MultiFunctionDevice === 1,
    subsystem: undefined,
    bridge: layout === 'type1' || layout === 'cardBus' ? bridgeOf(view) : undefined,
    capabilities,
    findings,
  };
  return { ...config, subsystem: subsystemOf(config) };
}

/** The first capability with that ID. */
export function findCapability(config: Config, id: number, extended = false): Capability | undefined {
  return config.capabilities.find((capability) => capability.id === id && capability.extended === extended);
}

/**
 * The structures that a capability consists of, as far as they were read. None when the capability is only named, or when not
 * even its first structure was read whole.
 */
export function partsOf(config: Config, capability: Capability): Part[] {
  return allParts(config.view, config.capabilities, capability).filter(({ structure, offset }) =>
    structure.fits(config.view, offset),
  );
}

/** Decodes the first capability with that ID; undefined when there is none or it does not lie wholly in what was read. */
export function decodeCapability<F extends Fields>(
  config: Config,
  id: number,
  structure: Entry<F>,
  extended = false,
): Values<F> | undefined {
  const found = findCapability(config, id, extended);
  if (!found) return undefined;
  const at = found.offset + (structure.offset ?? 0);
  return structure.fits(config.view, at) ? structure.decode(config.view, at) : undefined;
}

function walkCapabilities(view: DataView, first: number, capabilities: Capability[], findings: ConfigFinding[]): void {
  const end = Math.min(view.byteLength, EXTENDED_START);
  const seen = new Set<number>();
  // The low two bits of every pointer are reserved and not to be looked at.
  let at = view.getUint8(first) & ~3;
  for (let from = first; at !== 0; ) {
    if (at < HEADER)
      return void findings.push({ is: 'bad-pointer', offset: from, says: `points into the header, at ${hex(at)}` });
    if (at + CapabilityHeader.bytes > end)
      return void findings.push({
        is: 'short',
        offset: from,
        says: `the next capability is at ${hex(at)}, and only ${end} bytes were read`,
      });
    if (seen.has(at)) return void findings.push({ is: 'loop', offset: from, says: `points back to ${hex(at)}` });
    seen.add(at);
    const id = CapabilityHeader.get.CapabilityID(view, at);
    if (id === 0xff) return void findings.push({ is: 'broken-chain', offset: at, says: 'the capability reads as all ones' });
    capabilities.push({ id, name: capabilityName(id, false), offset: at, extended: false, version: 0 });
    from = at + 1;
    at = CapabilityHeader.get.NextCapabilityPointer(view, at) & ~3;
  }
}

function walkExtended(view: DataView, capabilities: Capability[], findings: ConfigFinding[]): void {
  const seen = new Set<number>();
  for (let at = EXTENDED_START, from = at; ; ) {
    if (at < EXTENDED_START)
      return void findings.push({ is: 'bad-pointer', offset: from, says: `points below extended space, at ${hex(at)}` });
    if (!ExtendedCapabilityHeader.fits(view, at)) {
      // Nothing points to the first one: a space without its part above 256 is no finding, only a chain cut in the middle is.
      if (at !== EXTENDED_START)
        findings.push({
          is: 'short',
          offset: from,
          says: `the next capability is at ${hex(at)}, and only ${view.byteLength} bytes were read`,
        });
      return;
    }
    if (seen.has(at)) return void findings.push({ is: 'loop', offset: from, says: `points back to ${hex(at)}` });
    seen.add(at);
    const word = view.getUint32(at, true);
    if (word === 0) return;
    if (word === 0xffffffff)
      return void findings.push({ is: 'broken-chain', offset: at, says: 'the capability reads as all ones' });
    const {
      ExtendedCapabilityID: id,
      CapabilityVersion: version,
      NextCapabilityOffset: next,
    } = ExtendedCapabilityHeader.decode(view, at);
    // An empty list is a null capability without successor; with one, it stands for a capability that was hidden.
    if (id !== EXTENDED.null) capabilities.push({ id, name: capabilityName(id, true), offset: at, extended: true, version });
    from = at + 2;
    at = next & ~3;
    if (at === 0) return;
  }
}

function allParts(view: DataView, capabilities: readonly Capability[], { id, extended, offset }: Capability): Part[] {
  let limit = extended ? EXTENDED_END : EXTENDED_START;
  for (const other of capabilities) if (other.offset > offset && other.offset < limit) limit = other.offset;
  const express = capabilities.find((other) => other.id === CAPABILITY.EXP && !other.extended)?.offset;
  const portType =
    express !== undefined && PciExpress.fits(view, express) ? PciExpress.get.DevicePortType(view, express) : undefined;
  return layOut(id, extended, offset, { view, portType, limit });
}

/** What the sizes of the capabilities tell, and the one count in them that has a limit of its own. */
function checkBodies(view: DataView, capabilities: readonly Capability[], findings: ConfigFinding[]): void {
  const inOrder = capabilities.toSorted((a, b) => a.offset - b.offset);
  let before: { name: string; offset: number; end: number } | undefined;
  for (const capability of inOrder) {
    const { id, name, offset, extended } = capability;
    const parts = allParts(view, capabilities, capability);
    const end = parts.reduce((most, part) => Math.max(most, part.offset + part.structure.bytes), offset + (extended ? 4 : 2));
    const last = extended ? EXTENDED_END : EXTENDED_START;
    if (end > last)
      findings.push({ is: 'overrun', offset, says: `${name} would end at ${hex(end)}, beyond the last byte ${hex(last - 1)}` });
    else if (end > view.byteLength)
      findings.push({ is: 'short', offset, says: `${name} ends at ${hex(end)}, and only ${view.byteLength} bytes were read` });
    if (before && before.end > offset)
      findings.push({
        is: 'overlap',
        offset,
        says: `${name} begins inside ${before.name} (${hex(before.offset)} to ${hex(before.end - 1)})`,
      });
    if (!before || end > before.end) before = { name, offset, end };
    if (extended && (id === EXTENDED.REBAR || id === EXTENDED.VFREBAR) && ResizableBar.fits(view, offset + 4)) {
      const count = ResizableBar.get.NumberOfResizableBARs(view, offset + 4);
      if (count < 1 || count > 6)
        findings.push({ is: 'bad-value', offset: offset + 8, says: `${name} says that it has ${count} BARs, not 1 to 6` });
    }
  }
}

/** The bus numbers stand at the same place in the header of a CardBus bridge. PC Card 8.0 §4.5.2. */
function bridgeOf(view: DataView): Bridge {
  const { PrimaryBusNumber, SecondaryBusNumber, SubordinateBusNumber } = Type1Header.get;
  return {
    primary: PrimaryBusNumber(view, 0),
    secondary: SecondaryBusNumber(view, 0),
    subordinate: SubordinateBusNumber(view, 0),
  };
}

function subsystemOf(config: Config): { vendor: number; device: number } | undefined {
  if (config.layout === 'type0') {
    return { vendor: Type0Header.get.SubsystemVendorID(config.view, 0), device: Type0Header.get.SubsystemID(config.view, 0) };
  }
  if (config.layout === 'cardBus') {
    if (config.length < CARDBUS_SUBSYSTEM + 4) return undefined;
    const vendor = config.view.getUint16(CARDBUS_SUBSYSTEM, true);
    return { vendor, device: config.view.getUint16(CARDBUS_SUBSYSTEM + 2, true) };
  }
  const ids = decodeCapability(config, CAPABILITY.SSVID, BridgeSubsystem);
  return ids && { vendor: ids.SSVID, device: ids.SSID };
}
