import type { IommuUnit } from '../host/iommu.ts';
import { functionOf, type Picture, unitNamed } from '../host/picture.ts';
import { readAmdRegisters } from '../iommu/index.ts';
import { apertureOf } from '../vfio/index.ts';
import type { Evidence } from './check.ts';
import { registersOf } from './units.ts';
import type { VmHostDevice } from './vm.ts';

/**
 * Whether a unit is a vIOMMU that is shadowed: whoever runs this guest must be told of each mapping.
 * VT-d 5.10 §11.4.2 CM; AMD IOMMU 3.09 §3.2.1 NpCache.
 */
export function isVirtual(unit: IommuUnit): boolean {
  if (registersOf(unit)?.cap.CM === 1) return true;
  return unit.amd !== undefined && readAmdRegisters(unit.amd.cap, unit.amd.features)?.capability.NpCache === 1;
}

/** Units before functions of the host, each once. */
function unitsOf(picture: Picture, bdfs: readonly string[]): IommuUnit[] {
  const names = new Set(bdfs.flatMap((bdf) => functionOf(picture, bdf)?.unit ?? []));
  return [...names].flatMap((name) => unitNamed(picture, name) ?? []);
}

/** Bits that every unit before these functions translates; undefined when one of them does not say, or there is none. */
export function hostWidth(picture: Picture, bdfs: readonly string[]): { bits: number | undefined; seen: Evidence[] } {
  const kernel = { release: picture.system.kernel, cmdline: picture.system.cmdline };
  const seen: Evidence[] = [];
  const widths: (number | undefined)[] = [];
  for (const { name, cap, amd } of unitsOf(picture, bdfs)) {
    const aperture = apertureOf({ name, amd: amd !== undefined, ...(cap === undefined ? {} : { cap }) }, kernel);
    widths.push(aperture?.bits);
    for (const { text, source } of aperture?.lines ?? []) seen.push({ where: `/sys/class/iommu/${name}; ${source}`, text });
  }
  const read = widths.filter((bits) => bits !== undefined);
  return { bits: read.length === 0 || read.length < widths.length ? undefined : Math.min(...read), seen };
}

/** VT-d units before host devices, with the bits of theirs that nesting needs and that are 0. VT-d 5.10 §3.8, §11.4.2, §11.4.3. */
export function unitsBefore(
  picture: Picture,
  devices: readonly VmHostDevice[],
): { name: string; cap: string; ecap: string; lacks: string[] }[] {
  const bdfs = devices.flatMap(({ bdf, pf }) => [bdf, pf].filter((one) => one !== undefined));
  return unitsOf(picture, bdfs).flatMap((unit) => {
    const registers = registersOf(unit);
    if (registers === undefined) return [];
    const { cap, ecap } = registers;
    const bits = {
      'ECAP_REG.SMTS': ecap.SMTS,
      'ECAP_REG.NEST': ecap.NEST,
      'ECAP_REG.FSTS': ecap.FSTS,
      'CAP_REG.FS1GP': cap.FS1GP,
    };
    const lacks = Object.entries(bits).flatMap(([name, bit]) => (bit === 0 ? [name] : []));
    return [{ name: unit.name, cap: unit.cap ?? '', ecap: unit.ecap ?? '', lacks }];
  });
}
