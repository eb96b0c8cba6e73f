import type { IommuUnit } from '../host/iommu.ts';
import { addressWidths, CAP_REG, ECAP_REG, registerView } from '../iommu/index.ts';

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

/** CAP_REG and ECAP_REG of a VT-d unit by field, or undefined when it is of another kind or they could not be read. */
export function registersOf(
  unit: IommuUnit,
): { cap: ReturnType<typeof CAP_REG.decode>; ecap: ReturnType<typeof ECAP_REG.decode> } | undefined {
  if (unit.cap === undefined || unit.ecap === undefined) return undefined;
  return {
    cap: CAP_REG.decode(registerView(BigInt(`0x${unit.cap}`))),
    ecap: ECAP_REG.decode(registerView(BigInt(`0x${unit.ecap}`))),
  };
}

export function describeUnit(unit: IommuUnit): UnitSummary {
  const summary: UnitSummary = { name: unit.name, devices: unit.devices.length };
  if (unit.version !== undefined) summary.version = unit.version;
  if (unit.address !== undefined) summary.registerBase = unit.address;
  const registers = registersOf(unit);
  if (registers === undefined) return summary;
  const { cap, ecap } = registers;
  if (unit.cap !== undefined) summary.cap = unit.cap;
  if (unit.ecap !== undefined) summary.ecap = unit.ecap;
  summary.can = {
    widths: addressWidths(cap.SAGAW),
    maximumGuestAddressWidth: cap.MGAW + 1,
    cachingMode: cap.CM === 1,
    interruptRemapping: ecap.IR === 1,
    passThrough: ecap.PT === 1,
    scalableMode: ecap.SMTS === 1,
    nested: ecap.NEST === 1,
    deviceTlb: ecap.DT === 1,
    queuedInvalidation: ecap.QI === 1,
  };
  return summary;
}
