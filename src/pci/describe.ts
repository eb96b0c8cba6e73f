import type { FieldInfo, Value } from '../bits/index.ts';
import { type Bar, barsOf, romOf } from './bars.ts';
import { Msi } from './capabilities.ts';
import { className } from './class.ts';
import { type Bridge, type Capability, type Config, type ConfigFinding, decodeCapability, partsOf } from './config.ts';
import { CXL_DVSECS, CXL_VENDOR, Dvsec, SerialNumber } from './fabric.ts';
import { msixOf, pcieCapability, resizableBars, type SizedBar, sriovOf } from './functions.ts';
import { CommonHeader, Type1Header } from './header.ts';
import { CAPABILITY, EXTENDED } from './names.ts';
import type { Part, Structure } from './structures.ts';
import { type Window, windowsOf } from './windows.ts';

/** One field with what it means. */
export interface DescribedField {
  name: string;
  /** The name that the specification spells out. */
  label: string;
  value: number | string;
  /** The value in words or in the base that people read it in; a flag is `yes` or `no`. */
  text: string;
}

export interface DescribedStructure {
  title: string;
  /** Clause of the specification. */
  source: string;
  /** In configuration space, in bytes. */
  offset: number;
  bytes: number;
  /** Reserved fields only where they are not zero. */
  fields: DescribedField[];
}

export interface DescribedCapability {
  id: number;
  name: string;
  offset: number;
  extended: boolean;
  /** Of an extended capability; 0 for the others. */
  version: number;
  /** What matters most in it, in a few words. */
  summary?: string;
  structures: DescribedStructure[];
}

/** Everything that configuration space tells, in words. */
export interface ConfigDescription {
  /** Bytes that were read. */
  length: number;
  vendor: number;
  device: number;
  classCode: number;
  className: string;
  revision: number;
  layout: Config['layout'];
  multiFunction: boolean;
  subsystem?: { vendor: number; device: number };
  header: DescribedStructure;
  bars: Bar[];
  rom?: { base: number; enabled: boolean };
  /** Windows and registers of a bridge to PCI. */
  bridge?: Bridge & { windows: Window[]; registers?: DescribedStructure };
  capabilities: DescribedCapability[];
  findings: ConfigFinding[];
}

/** Told elsewhere in a description. */
const TOLD = new Set([
  'CapabilityID',
  'NextCapabilityPointer',
  'ExtendedCapabilityID',
  'NextCapabilityOffset',
  'VendorID',
  'DeviceID',
  'RevisionID',
  'ClassCode',
  'HeaderLayout',
  'MultiFunctionDevice',
]);

/** Of a type 1 header: what is no BAR, bus number or window. */
const BRIDGE_BITS_FROM = 0x1e * 8;

/** Describes a function. What could not be read is left out; the findings say so. */
export function describeConfig(config: Config): ConfigDescription {
  const { view, bridge, subsystem } = config;
  const rom = romOf(config);
  return {
    length: config.length,
    vendor: config.vendor,
    device: config.device,
    classCode: config.classCode,
    className: className(config.classCode),
    revision: config.revision,
    layout: config.layout,
    multiFunction: config.multiFunction,
    ...(subsystem && { subsystem }),
    header: describePart(view, { title: 'Header', structure: CommonHeader, offset: 0 }),
    bars: barsOf(config),
    ...(rom && { rom }),
    ...(bridge && {
      bridge: {
        ...bridge,
        windows: windowsOf(config),
        ...(config.layout === 'type1' && { registers: bridgeRegisters(view) }),
      },
    }),
    capabilities: config.capabilities.map((capability) => {
      const summary = summaryOf(config, capability);
      return {
        ...capability,
        ...(summary !== undefined && { summary }),
        structures: partsOf(config, capability).map((part) => describePart(view, part)),
      };
    }),
    findings: [...config.findings],
  };
}

function bridgeRegisters(view: DataView): DescribedStructure {
  const whole = describePart(view, { title: 'Secondary Status and Bridge Control', structure: Type1Header, offset: 0 });
  const single = new Set(
    Type1Header.fields.filter(({ low, high }) => low >= BRIDGE_BITS_FROM && high - low < 3).map(({ name }) => name),
  );
  return { ...whole, fields: whole.fields.filter(({ name }) => single.has(name)) };
}

function describePart(view: DataView, { title, structure, offset }: Part): DescribedStructure {
  const values = structure.decode(view, offset);
  const fields: DescribedField[] = [];
  for (const field of structure.fields) {
    const value = values[field.name]!;
    // The version of an extended capability stands beside its name.
    if (field.name === 'CapabilityVersion' && 'ExtendedCapabilityID' in values) continue;
    if (TOLD.has(field.name) || (field.kind === 'reserved' && isZero(value))) continue;
    fields.push({ name: field.name, label: field.label, value: plain(value), text: textOf(structure, field, value) });
  }
  return { title, source: structure.source, offset, bytes: structure.bytes, fields };
}

function isZero(value: Value): boolean {
  return value instanceof Uint8Array ? value.every((byte) => byte === 0) : value === 0 || value === 0n || value === '';
}

function plain(value: Value): number | string {
  if (typeof value === 'number' || typeof value === 'string') return value;
  return typeof value === 'bigint'
    ? `0x${value.toString(16)}`
    : [...value].map((byte) => byte.toString(16).padStart(2, '0')).join('');
}

function textOf(structure: Structure, field: FieldInfo, value: Value): string {
  const named = structure.nameOf(field.name, value);
  if (named !== undefined) return named;
  if (field.kind === 'bit') return value === 1 ? 'yes' : 'no';
  const hexadecimal = field.kind === 'hex' || field.kind === 'frame' || field.kind === 'reserved';
  return hexadecimal && typeof value === 'number' ? `0x${value.toString(16)}` : `${plain(value)}`;
}

/** The one line that most people want of a capability. */
function summaryOf(config: Config, { id, extended, offset }: Capability): string | undefined {
  if (extended && id === EXTENDED.DVSEC) return dvsecSummary(config.view, offset);
  return extended ? extendedSummary(config, id) : conventionalSummary(config, id);
}

function dvsecSummary(view: DataView, at: number): string | undefined {
  if (!Dvsec.fits(view, at)) return undefined;
  const { DVSECVendorID: vendor, DVSECID: id } = Dvsec.decode(view, at);
  if (vendor === CXL_VENDOR) return CXL_DVSECS[id] ?? `CXL, ID ${id}`;
  return `vendor ${vendor.toString(16).padStart(4, '0')}, ID ${id}`;
}

function conventionalSummary(config: Config, id: number): string | undefined {
  if (id === CAPABILITY.EXP) {
    const pcie = pcieCapability(config);
    if (!pcie) return undefined;
    const { link } = pcie;
    const words = [
      `version ${pcie.version}`,
      PORTS[pcie.type ?? ''] ?? 'type not defined',
      ...(link && link.maxWidth > 0
        ? [`link ${linkWords(link.speed, link.width)} of ${linkWords(link.maxSpeed, link.maxWidth)}`]
        : []),
      ...(pcie.flr ? ['FLR'] : []),
    ];
    return words.join(', ');
  }
  if (id === CAPABILITY.MSI) {
    const msi = decodeCapability(config, CAPABILITY.MSI, Msi);
    return msi && `${msi.MSIEnable ? 'on' : 'off'}, up to ${2 ** msi.MultipleMessageCapable} vectors`;
  }
  if (id === CAPABILITY.MSIX) {
    const msix = msixOf(config);
    if (!msix) return undefined;
    const place = (bir: number, offset: number) => `BAR ${bir} at 0x${(offset * 8).toString(16)}`;
    return `${msix.MSIXEnable ? 'on' : 'off'}, ${msix.TableSize + 1} vectors, table in ${place(msix.TableBIR, msix.TableOffset)}, pending bits in ${place(msix.PBABIR, msix.PBAOffset)}`;
  }
  return undefined;
}

const PORTS: { readonly [type: string]: string } = {
  endpoint: 'endpoint',
  legacyEndpoint: 'legacy endpoint',
  rootPort: 'root port',
  upstreamPort: 'upstream port of a switch',
  downstreamPort: 'downstream port of a switch',
  bridgeToPci: 'bridge to PCI or PCI-X',
  bridgeFromPci: 'bridge from PCI or PCI-X',
  integratedEndpoint: 'root complex integrated endpoint',
  eventCollector: 'root complex event collector',
};

function linkWords(speed: number | undefined, width: number): string {
  return `x${width} at ${speed === undefined ? 'an unknown speed' : `${speed} GT/s`}`;
}

function extendedSummary(config: Config, id: number): string | undefined {
  if (id === EXTENDED.SRIOV) {
    const sriov = sriovOf(config);
    return sriov && `${sriov.VFEnable ? `${sriov.NumVFs} VFs on` : 'off'}, ${sriov.TotalVFs} possible`;
  }
  if (id === EXTENDED.REBAR || id === EXTENDED.VFREBAR)
    return (
      resizableBars(config, id === EXTENDED.VFREBAR)
        .map(sizeWords)
        .join('; ') || undefined
    );
  if (id === EXTENDED.DSN) {
    const serial = decodeCapability(config, EXTENDED.DSN, SerialNumber, true);
    return serial?.SerialNumber.toString(16)
      .padStart(16, '0')
      .replace(/(..)(?=.)/g, '$1-');
  }
  return undefined;
}

const UNITS = ['MiB', 'GiB', 'TiB', 'PiB', 'EiB'];
function sizeWords({ index, size, supported }: SizedBar): string {
  const words = (bytes: number): string => {
    const power = Math.log2(bytes) - 20;
    return `${2 ** (power % 10)} ${UNITS[Math.floor(power / 10)] ?? 'x 2^70 bytes'}`;
  };
  return `BAR ${index} of ${words(size)}, possible: ${supported.map(words).join(', ') || 'nothing'}`;
}
