import type { Picture } from '../host/picture.ts';
import { reasonOf } from '../iommu/index.ts';
import { type BootOption, bootOptions } from './boot-options.ts';
import { ask, type Finding } from './check.ts';
import { type DmarSummary, summarizeDmar } from './dmar.ts';
import { comparedGroups } from './groups.ts';
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
  /** `because`: why its functions are one group, computed; absent for one function, or when the bytes that decide could not be read. */
  groups: { number: number; type?: string; devices: string[]; because?: string }[];
  /** Of a posted listing that has no groups of the kernel: they follow from what it shows. Absent: they are the kernel's. */
  groupsAre?: 'computed';
  /** Of a posted listing: functions whose group could not be computed, and why. */
  unknownGroups?: { bdf: string; because: string[] }[];
  /** Where the kernel's groups are not those that the hardware leads to, and what that means. */
  doubts: string[];
  functions: InspectedFunction[];
  /** What could not be read, and why. */
  unread: { what: string; because: string }[];
}

/** Judges what was read. Pure. */
export function inspect(picture: Picture): Inspection {
  return inspection(
    picture,
    picture.functions.map((found) => inspectFunction(picture, found)),
  );
}

/** The same, but each function is judged when its turn comes: thousands of verdicts are never in memory as a whole. */
export function inspectInTurn(picture: Picture): Omit<Inspection, 'functions'> & { functions: Iterable<InspectedFunction> } {
  function* inTurn(): Generator<InspectedFunction> {
    for (const found of picture.functions) yield inspectFunction(picture, found);
  }
  return inspection(picture, inTurn());
}

function inspection<F>(picture: Picture, functions: F): Omit<Inspection, 'functions'> & { functions: F } {
  const { kernel, cmdline, guest, uid, virtualization, memory } = picture.system;
  const { dmar } = indexOf(picture);
  return {
    schema: 'sluice/inspect/2',
    host: picture.host,
    system: { kernel, cmdline, guest, uid, memory, ...(virtualization === undefined ? {} : { virtualization }) },
    kvm: picture.kvm,
    iommu: ask(iommuOn, picture, ''),
    options: bootOptions(picture),
    ...(dmar === undefined ? {} : { dmar: summarizeDmar(dmar) }),
    units: picture.units.map((unit) => describeUnit(picture, unit)),
    reserved: reservedRegions(picture),
    ...inspectGroups(picture),
    functions,
    unread: picture.unread.map(({ what, because }) => ({ what, because })),
  };
}

/** The kernel's groups, each with what joins its functions as far as it can be computed. */
function inspectGroups(picture: Picture): Pick<Inspection, 'groups' | 'doubts'> {
  const { computed, comparison } = comparedGroups(picture);
  const reasons = new Map<string, string>();
  for (const group of computed.groups) {
    const reason = reasonOf(group);
    if (reason !== undefined) for (const bdf of group.members) reasons.set(bdf, reason);
  }
  return {
    groups: picture.groups.map(({ number, type, devices }) => {
      const because =
        devices.length > 1 ? devices.map((bdf) => reasons.get(bdf)).find((reason) => reason !== undefined) : undefined;
      return { number, devices, ...(type === undefined ? {} : { type }), ...(because === undefined ? {} : { because }) };
    }),
    doubts: comparison.differences.map(({ functions, says }) => `${functions.join(', ')}: ${says}`),
  };
}
