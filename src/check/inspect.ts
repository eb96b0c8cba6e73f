import type { Picture } from '../host/picture.ts';
import { type BootOption, bootOptions } from './boot-options.ts';
import { ask, type Finding } from './check.ts';
import { type DmarSummary, summarizeDmar } from './dmar.ts';
import { indexOf } from './index-of.ts';
import { type InspectedFunction, inspectFunction } from './inspect-function.ts';
import { type ReservedRegion, reservedRegions } from './reserved.ts';
import { iommuOn } from './rules/iommu-on.ts';
import { describeUnit, type UnitSummary } from './units.ts';

/** What a host has for passthrough, and what each of its functions could be used for. */
export interface Inspection {
  schema: 'sluice/inspect/2';
  host: string;
  system: { kernel: string; cmdline: string; guest: boolean; uid: number; virtualization?: 'vmx' | 'svm'; memory: number };
  kvm: { usable: boolean; because: string };
  iommu: Finding;
  options: BootOption[];
  dmar?: DmarSummary;
  units: UnitSummary[];
  reserved: ReservedRegion[];
  groups: { number: number; type?: string; devices: string[] }[];
  functions: InspectedFunction[];
  /** What could not be read, and why. */
  unread: { what: string; because: string }[];
}

/** Judges what was read. Pure. */
export function inspect(picture: Picture): Inspection {
  const { kernel, cmdline, guest, uid, virtualization, memory } = picture.system;
  const { dmar } = indexOf(picture);
  const reserved = reservedRegions(picture);
  return {
    schema: 'sluice/inspect/2',
    host: picture.host,
    system: { kernel, cmdline, guest, uid, memory, ...(virtualization === undefined ? {} : { virtualization }) },
    kvm: picture.kvm,
    iommu: ask(iommuOn, picture, ''),
    options: bootOptions(picture),
    ...(dmar === undefined ? {} : { dmar: summarizeDmar(dmar) }),
    units: picture.units.map((unit) => describeUnit(picture, unit)),
    reserved,
    groups: picture.groups.map(({ number, type, devices }) => ({ number, devices, ...(type === undefined ? {} : { type }) })),
    functions: picture.functions.map((found) => inspectFunction(picture, found)),
    unread: picture.unread.map(({ what, because }) => ({ what, because })),
  };
}
