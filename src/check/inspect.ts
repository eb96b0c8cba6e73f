import { kindOfDevice } from '../host/devices.ts';
import type { PciFunction } from '../host/functions.ts';
import type { Picture } from '../host/picture.ts';
import type { Usage } from '../host/usage.ts';
import { className } from '../pci/index.ts';
import { judgeAssignment } from './assignable.ts';
import { ask, type Finding } from './check.ts';
import { type DmarSummary, summarizeDmar } from './dmar.ts';
import { iommuOn } from './rules/iommu-on.ts';
import { sriovCapable } from './rules/sriov-capable.ts';
import { describeUnit, type UnitSummary } from './units.ts';

/** What a host has for passthrough, and what each of its functions could be used for. */
export interface Inspection {
  schema: 'sluice/inspect/1';
  host: string;
  system: { kernel: string; cmdline: string; guest: boolean; uid: number; virtualization?: 'vmx' | 'svm'; memory: number };
  kvm: { usable: boolean; because: string };
  iommu: Finding;
  dmar?: DmarSummary;
  units: UnitSummary[];
  groups: { number: number; type?: string; devices: string[] }[];
  functions: InspectedFunction[];
  /** What could not be read, and why. */
  unread: { what: string; because: string }[];
}

export interface InspectedFunction {
  bdf: string;
  /** `8086:10c9` */
  ids: string;
  class: string;
  kind: 'net' | 'nvme' | 'other';
  driver?: string;
  group?: number;
  unit?: string;
  interfaces: string[];
  nvme: string[];
  sriov?: { totalVFs: number; numVFs?: number; firstVFOffset: number; vfStride: number };
  physfn?: string;
  uses: { kind: Usage['kind']; what: string; where: string }[];
  /** Whether the function itself can be given to a guest. */
  assignable: { is: 'ready' | 'after-binding' | 'blocked' | 'unknown' | 'bridge'; because: string; findings: Finding[] };
  /** How many VFs it can give, and why not, for a PF. */
  vfs?: { possible: number; because: string };
}

/** Judges what was read. Pure. */
export function inspect(picture: Picture): Inspection {
  const { kernel, cmdline, guest, uid, virtualization, memory } = picture.system;
  const dmar = picture.firmwareTables.find((table) => table.signature === 'DMAR');
  const table = dmar === undefined ? undefined : summarizeDmar(dmar.bytes);
  return {
    schema: 'sluice/inspect/1',
    host: picture.host,
    system: { kernel, cmdline, guest, uid, memory, ...(virtualization === undefined ? {} : { virtualization }) },
    kvm: picture.kvm,
    iommu: ask(iommuOn, picture, ''),
    ...(table === undefined ? {} : { dmar: table }),
    units: picture.units.map(describeUnit),
    groups: picture.groups.map(({ number, type, devices }) => ({ number, devices, ...(type === undefined ? {} : { type }) })),
    functions: picture.functions.map((found) => inspectFunction(picture, found)),
    unread: picture.unread,
  };
}

function inspectFunction(picture: Picture, found: PciFunction): InspectedFunction {
  const { sriov } = found;
  return {
    bdf: found.bdf,
    ids: `${hex4(found.vendor)}:${hex4(found.device)}`,
    class: className(found.class),
    kind: kindOfDevice(found),
    ...(found.driver === undefined ? {} : { driver: found.driver }),
    ...(found.group === undefined ? {} : { group: found.group }),
    ...(found.unit === undefined ? {} : { unit: found.unit }),
    interfaces: found.interfaces,
    nvme: found.nvme,
    ...(sriov === undefined
      ? {}
      : {
          sriov: {
            totalVFs: sriov.totalVFs,
            firstVFOffset: sriov.firstVFOffset,
            vfStride: sriov.vfStride,
            ...(sriov.numVFs === undefined ? {} : { numVFs: sriov.numVFs }),
          },
        }),
    ...(found.physfn === undefined ? {} : { physfn: found.physfn }),
    uses: picture.usage
      .filter((usage) => usage.bdf === found.bdf || (usage.group !== undefined && usage.group === found.group))
      .map(({ kind, what, where }) => ({ kind, what, where })),
    assignable: judge(picture, found),
    ...(sriov === undefined ? {} : { vfs: judgeVfs(picture, found) }),
  };
}

function judge(picture: Picture, found: PciFunction): InspectedFunction['assignable'] {
  const findings = judgeAssignment(picture, found.bdf);
  const bridge = findings.find((finding) => finding.id === 'device/endpoint' && finding.is === 'fail');
  if (bridge !== undefined) return { is: 'bridge', because: bridge.because, findings };
  const failed = findings.filter((finding) => finding.is === 'fail');
  if (failed.length > 0) return { is: 'blocked', because: failed.map((finding) => finding.because).join('; '), findings };
  const open = findings.filter((finding) => finding.is === 'unknown');
  if (open.length > 0) return { is: 'unknown', because: open.map((finding) => finding.because).join('; '), findings };
  if (found.driver === 'vfio-pci') return { is: 'ready', because: 'vfio-pci drives it', findings };
  return {
    is: 'after-binding',
    because: found.driver === undefined ? 'no driver has it' : `${found.driver} has to let it go`,
    findings,
  };
}

function judgeVfs(picture: Picture, found: PciFunction): { possible: number; because: string } {
  const capable = ask(sriovCapable, picture, found.bdf);
  if (capable.is !== 'pass') return { possible: 0, because: capable.because };
  const numVFs = found.sriov?.numVFs;
  if (numVFs !== undefined && numVFs > 0) return { possible: numVFs, because: `${numVFs} exist; another number only through 0` };
  return { possible: found.sriov?.totalVFs ?? 0, because: capable.because };
}

function hex4(value: number): string {
  return value.toString(16).padStart(4, '0');
}
