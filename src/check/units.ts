import { claimsOf, type IvhdBlock, ivhdsOf, readIvrs } from '../acpi/index.ts';
import type { IommuUnit } from '../host/iommu.ts';
import type { Picture } from '../host/picture.ts';
import {
  type AmdAbilities,
  addressWidths,
  amdAbilities,
  CAP_REG,
  ECAP_REG,
  readAmdRegisters,
  registerView,
} from '../iommu/index.ts';
import { bdfOf, formatBdf } from '../pci/index.ts';
import { formatScope } from './dmar.ts';
import { indexOf } from './index-of.ts';

/** One thing that a unit can or cannot do. */
export interface Ability {
  /** In words. */
  what: string;
  /** The field that says so, as printed in the specification. */
  field: string;
  has: boolean;
}

/** A remapping unit in words. Members of a VT-d unit are absent for other kinds, or when its registers could not be read. */
export interface UnitSummary {
  name: string;
  kind: 'VT-d' | 'AMD-Vi' | 'virtio-iommu';
  /** How many functions are behind it. */
  devices: number;
  version?: string;
  registerBase?: string;
  segment?: number;
  /** What its DRHD names: `all others of segment 0`, `endpoint 00:02.0` ... Absent when no table could be read. */
  scope?: string[];
  cap?: string;
  ecap?: string;
  /** Of AMD-Vi: capability header and extended features as the kernel prints them, and what they say. AMD 48882 3.08 §3.2.1, §3.4. */
  amd?: { cap: string; features: string; can?: AmdAbilities };
  /** What CAP_REG and ECAP_REG say. VT-d 5.10 §11.4.2, §11.4.3. */
  can?: {
    /** Second-stage table levels, as address widths in bits. */
    widths: number[];
    maximumGuestAddressWidth: number;
    /** Domain-ids it tells apart. */
    domains: number;
    /** Bits of a PASID; 0 without PASIDs. */
    pasidBits: number;
    faultRecords: number;
    /** Caching Mode: it is a vIOMMU that has to hear of every change. */
    cachingMode: boolean;
    abilities: Ability[];
  };
}

type Registers = { cap: ReturnType<typeof CAP_REG.decode>; ecap: ReturnType<typeof ECAP_REG.decode> };

/** CAP_REG and ECAP_REG of a VT-d unit by field, or undefined when it is of another kind or they could not be read. */
export function registersOf(unit: IommuUnit): Registers | undefined {
  if (unit.cap === undefined || unit.ecap === undefined) return undefined;
  const known = decoded.get(unit);
  if (known !== undefined) return known;
  const registers = {
    cap: CAP_REG.decode(registerView(BigInt(`0x${unit.cap}`))),
    ecap: ECAP_REG.decode(registerView(BigInt(`0x${unit.ecap}`))),
  };
  decoded.set(unit, registers);
  return registers;
}

/** Every function asks for the registers of its unit. */
const decoded = new WeakMap<IommuUnit, Registers>();

export function describeUnit(picture: Picture, unit: IommuUnit): UnitSummary {
  const kind =
    unit.cap !== undefined || unit.name.startsWith('dmar') ? 'VT-d' : unit.amd !== undefined ? 'AMD-Vi' : 'virtio-iommu';
  const summary: UnitSummary = { name: unit.name, kind, devices: unit.devices.length };
  if (unit.version !== undefined) summary.version = unit.version;
  if (unit.address !== undefined) summary.registerBase = unit.address;
  if (unit.amd !== undefined) {
    const registers = readAmdRegisters(unit.amd.cap, unit.amd.features);
    summary.amd = { ...unit.amd, ...(registers === undefined ? {} : { can: amdAbilities(registers) }) };
  }
  const ivhd = ivhdOfUnit(picture, unit);
  if (ivhd !== undefined) {
    summary.segment = ivhd.segment;
    summary.registerBase = ivhd.base.toString(16);
    summary.scope = claimsOf(ivhd).map(({ start, end }) =>
      start === end ? shortBdf(start) : `${shortBdf(start)} to ${shortBdf(end)}`,
    );
  }
  const drhd = drhdOf(picture, unit);
  if (drhd !== undefined) {
    summary.segment = drhd.segment;
    summary.scope = [
      ...drhd.scopes.map(formatScope),
      ...(drhd.includePciAll ? [`all others of segment ${drhd.segment} (INCLUDE_PCI_ALL)`] : []),
    ];
  }
  const registers = registersOf(unit);
  if (registers === undefined) return summary;
  if (unit.cap !== undefined) summary.cap = unit.cap;
  if (unit.ecap !== undefined) summary.ecap = unit.ecap;
  summary.can = abilitiesOf(registers);
  return summary;
}

function abilitiesOf({ cap, ecap }: Registers): NonNullable<UnitSummary['can']> {
  const can = (what: string, field: string, bit: number): Ability => ({ what, field, has: bit === 1 });
  const scalable = ecap.SMTS === 1;
  return {
    widths: addressWidths(cap.SAGAW),
    maximumGuestAddressWidth: cap.MGAW + 1,
    domains: 2 ** (4 + 2 * cap.ND),
    pasidBits: ecap.PASID === 1 ? ecap.PSS + 1 : 0,
    faultRecords: cap.NFR + 1,
    cachingMode: cap.CM === 1,
    abilities: [
      can('interrupt remapping', 'ECAP_REG.IR', ecap.IR),
      can('x2APIC interrupts', 'ECAP_REG.EIM', ecap.EIM),
      can('posted interrupts', 'CAP_REG.PI', cap.PI),
      can('pass-through', 'ECAP_REG.PT', ecap.PT),
      can('scalable mode', 'ECAP_REG.SMTS', ecap.SMTS),
      // These say nothing without scalable mode.
      can('first-stage translation', 'ECAP_REG.FSTS', scalable ? ecap.FSTS : 0),
      can('nested translation', 'ECAP_REG.NEST', scalable ? ecap.NEST : 0),
      can('PASIDs', 'ECAP_REG.PASID', scalable ? ecap.PASID : 0),
      can('device-TLBs (ATS)', 'ECAP_REG.DT', ecap.DT),
      can('page requests', 'ECAP_REG.PRS', ecap.PRS),
      can('snoop control', 'ECAP_REG.SC', ecap.SC),
      can('coherent page walks', 'ECAP_REG.C', ecap.C),
      can('queued invalidation', 'ECAP_REG.QI', ecap.QI),
      can('2 MiB pages', 'CAP_REG.SSLPS', cap.SSLPS & 1),
      can('1 GiB pages', 'CAP_REG.SSLPS', (cap.SSLPS >> 1) & 1),
    ],
  };
}

/** The IVHD block of an AMD-Vi unit: the kernel numbers units in the order of the blocks that it goes by. */
function ivhdOfUnit(picture: Picture, unit: IommuUnit): IvhdBlock | undefined {
  const number = /^ivhd(\d+)$/.exec(unit.name)?.[1];
  const table = picture.firmwareTables.find(({ signature }) => signature === 'IVRS');
  const ivrs = table === undefined ? undefined : readIvrs(table.bytes);
  return number === undefined || ivrs === undefined ? undefined : ivhdsOf(ivrs)[Number(number)];
}

/** `3b:00.0` of a requester ID. */
function shortBdf(id: number): string {
  return formatBdf(bdfOf(0, id)).replace(/^0000:/, '');
}

/** The DRHD of a unit, found by its register base: the kernel numbers units in the order of the table, but not always from 0. */
function drhdOf(picture: Picture, unit: IommuUnit) {
  if (unit.address === undefined) return undefined;
  const base = BigInt(`0x${unit.address}`);
  const structures = indexOf(picture).dmar?.structures ?? [];
  return structures.flatMap((one) => (one.type === 'DRHD' && one.registerBase === base ? [one] : []))[0];
}
