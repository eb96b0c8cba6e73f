import type { IommuUnit } from '../host/iommu.ts';

/** A remapping unit in words. Members of a VT-d unit are absent for other kinds, or when its registers could not be read. */
export interface UnitSummary {
  name: string;
  devices: number;
  version?: string;
  registerBase?: string;
  cap?: string;
  ecap?: string;
  /** What CAP_REG and ECAP_REG say. VT-d 5.10 §11.4.2, §11.4.3. */
  can?: {
    /** Second-stage table levels, as address widths in bits. */
    widths: number[];
    maximumGuestAddressWidth: number;
    cachingMode: boolean;
    interruptRemapping: boolean;
    passThrough: boolean;
    scalableMode: boolean;
    nested: boolean;
    deviceTlb: boolean;
    queuedInvalidation: boolean;
  };
}

export function describeUnit(unit: IommuUnit): UnitSummary {
  const summary: UnitSummary = { name: unit.name, devices: unit.devices.length };
  if (unit.version !== undefined) summary.version = unit.version;
  if (unit.address !== undefined) summary.registerBase = unit.address;
  if (unit.cap === undefined || unit.ecap === undefined) return summary;
  const cap = BigInt(`0x${unit.cap}`);
  const ecap = BigInt(`0x${unit.ecap}`);
  const bit = (register: bigint, at: bigint) => ((register >> at) & 1n) === 1n;
  const sagaw = Number((cap >> 8n) & 0x1fn);
  summary.cap = unit.cap;
  summary.ecap = unit.ecap;
  summary.can = {
    widths: [39, 48, 57].filter((_, index) => sagaw & (2 << index)),
    maximumGuestAddressWidth: Number((cap >> 16n) & 0x3fn) + 1,
    cachingMode: bit(cap, 7n),
    interruptRemapping: bit(ecap, 3n),
    passThrough: bit(ecap, 6n),
    scalableMode: bit(ecap, 43n),
    nested: bit(ecap, 26n),
    deviceTlb: bit(ecap, 2n),
    queuedInvalidation: bit(ecap, 1n),
  };
  return summary;
}
