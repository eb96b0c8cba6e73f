import { judgeAssignment } from '../check/assignable.ts';
import { ask, type Finding } from '../check/check.ts';
import { inGroup } from '../check/rules/in-group.ts';
import { interruptsRemapped } from '../check/rules/interrupts-remapped.ts';
import { iommuOn } from '../check/rules/iommu-on.ts';
import { sriovCapable } from '../check/rules/sriov-capable.ts';
import { type DeviceKind, findFunction, kindOfDevice } from '../host/devices.ts';
import type { PciFunction } from '../host/functions.ts';
import { functionOf, type Picture } from '../host/picture.ts';
import type { QemuCapabilities } from '../qemu/index.ts';
import { planGuest } from './guest.ts';
import { type JournalDevice, stateOf } from './journal.ts';
import type { Plan, Planned, Refusal } from './plan.ts';
import type { DeviceSpec, SourcePlace, VfSpec, VmSpec } from './spec.ts';
import type { Step } from './step.ts';
import { chooseVfs } from './vfs.ts';

export interface PlanInput {
  /** File names in it are absolute already. */
  spec: VmSpec;
  specFile: string;
  picture: Picture;
  qemu: QemuCapabilities;
  stateFolder: string;
  /** Files that the spec names and the host does not have. */
  missingFiles: string[];
  /** OVMF code and variable template found on the host. */
  ovmf?: { code: string; vars: string };
}

/** Collects what planning finds, in the order in which it is to be done. */
interface Draft {
  picture: Picture;
  steps: Step[];
  devices: JournalDevice[];
  refusals: Refusal[];
  warnings: string[];
}

/**
 * Plans one VM. Pure: the same spec and picture give the same plan.
 * @returns the plan, or every reason why there is none, each with its evidence and its place in the spec
 */
export function plan(input: PlanInput): Planned {
  const { spec } = input;
  const given = givenFunctions(input);
  const draft: Draft = { picture: asGiven(input.picture, given), steps: [], devices: [], refusals: [], warnings: [] };
  const top: SourcePlace = { file: input.specFile, line: 1, column: 1 };
  for (const file of input.missingFiles)
    draft.refusals.push({
      id: 'spec/file',
      asks: 'Is the file there?',
      bdf: '',
      at: top,
      is: 'fail',
      because: `${file} is named in the spec and is not there`,
      seen: [],
    });
  if (spec.devices.length > 0 && !input.picture.system.modules.includes('vfio_pci'))
    draft.steps.push({
      do: 'load-module',
      module: 'vfio-pci',
      why: 'the driver that hands functions to user space is not loaded',
    });
  planVfs(spec, draft);
  planWhole(spec, draft);
  const bdfs = draft.devices.map((device) => device.bdf);
  for (const device of draft.devices) {
    const found = functionOf(input.picture, device.bdf);
    draft.steps.push({
      do: 'bind',
      bdf: device.bdf,
      driver: 'vfio-pci',
      was: {
        ...(found?.driver === undefined ? {} : { driver: found.driver }),
        ...(found?.driverOverride === undefined ? {} : { driverOverride: found.driverOverride }),
      },
      given: bdfs,
      why: 'VFIO gives a function to QEMU only when vfio-pci drives it',
    });
  }
  const { folder } = stateOf(input.stateFolder, spec.name);
  for (const device of draft.devices)
    if (device.kind === 'nvme')
      draft.steps.push({
        do: 'prove-nvme',
        bdf: device.bdf,
        file: `${folder}/proof-${device.bdf}.json`,
        why: 'before the guest has it: Identify by DMA with its interrupt, and a DMA to an unmapped address that must be blocked',
      });
  const guest = planGuest(input, draft.devices, folder);
  if ('refusals' in guest) draft.refusals.push(...guest.refusals.map((finding) => ({ ...finding, at: top })));
  else draft.steps.push({ do: 'start-guest', guest: guest.start, why: 'everything it needs is ready' });
  if (draft.refusals.length > 0 || 'refusals' in guest) return { refusals: draft.refusals };
  if (spec.guests.length > 0)
    draft.warnings.push(
      `what ${spec.name} does with its devices in turn is planned inside it: run sluice there with the specs of its guests`,
    );
  const made: Plan = {
    name: spec.name,
    stateFolder: input.stateFolder,
    bootId: input.picture.system.bootId,
    devices: draft.devices,
    steps: draft.steps,
    memlock: guest.memlock,
    accel: guest.accel,
    rights: rightsFor(draft.steps),
    warnings: [...draft.warnings, ...guest.warnings],
  };
  return { plan: made };
}

/** Existing functions that the spec gives away as they are. */
function givenFunctions({ spec, picture }: PlanInput): string[] {
  return spec.devices.flatMap((device) => {
    if (device.kind === 'vf') return [];
    const found = findFunction(picture, device.kind === 'address' ? device.address : device.interface);
    return found === undefined ? [] : [found.bdf];
  });
}

/** The host as it will be when those functions have left their drivers: members of one group may be given away together. */
function asGiven(picture: Picture, given: readonly string[]): Picture {
  return {
    ...picture,
    functions: picture.functions.map((found) => (given.includes(found.bdf) ? { ...found, driver: 'vfio-pci' } : found)),
  };
}

function planWhole(spec: VmSpec, draft: Draft): void {
  for (const device of spec.devices) {
    if (device.kind === 'vf') continue;
    const named = device.kind === 'address' ? device.address : device.interface;
    const found = findFunction(draft.picture, named);
    if (found === undefined) {
      draft.refusals.push(absent(draft.picture, device, named));
      continue;
    }
    refuseFailing(draft, device.at, judgeAssignment(draft.picture, found.bdf));
    for (const name of found.interfaces)
      if (draft.picture.links.some((link) => link.name === name && link.up))
        draft.warnings.push(
          `${name} is up and leaves the host; revert sets it up again, but its addresses and routes must come from the host's network configuration`,
        );
    addDevice(draft, device.at, {
      bdf: found.bdf,
      kind: kindOfDevice(found),
      ...(found.physfn === undefined ? {} : partOf(draft.picture, found)),
    });
  }
}

/** For a VF that is named by its address: which VF of which PF it is. */
function partOf(picture: Picture, found: PciFunction): Partial<JournalDevice> {
  const pf = functionOf(picture, found.physfn ?? '');
  const vf = pf?.virtfns.indexOf(found.bdf) ?? -1;
  return pf === undefined || vf < 0 ? {} : { vf, ...namesOf(pf) };
}

function namesOf(pf: PciFunction): Pick<JournalDevice, 'pf' | 'pfInterface' | 'pfNvme'> {
  const [pfInterface] = pf.interfaces;
  const [pfNvme] = pf.nvme;
  return { pf: pf.bdf, ...(pfInterface === undefined ? {} : { pfInterface }), ...(pfNvme === undefined ? {} : { pfNvme }) };
}

function addDevice(draft: Draft, at: SourcePlace, device: JournalDevice): void {
  if (draft.devices.some((other) => other.bdf === device.bdf))
    draft.refusals.push({
      id: 'spec/once',
      asks: 'Is every function given once?',
      bdf: device.bdf,
      at,
      is: 'fail',
      because: 'the spec gives it twice',
      seen: [],
    });
  draft.devices.push(device);
}

type VfDevice = Extract<DeviceSpec, { kind: 'vf' }>;

function planVfs(spec: VmSpec, draft: Draft): void {
  const byPf = new Map<string, { pf: PciFunction; wanted: VfDevice[] }>();
  for (const device of spec.devices) {
    if (device.kind !== 'vf') continue;
    const pf = findFunction(draft.picture, device.pf);
    if (pf === undefined) {
      draft.refusals.push(absent(draft.picture, device, device.pf));
      continue;
    }
    const entry = byPf.get(pf.bdf) ?? { pf, wanted: [] };
    entry.wanted.push(device);
    byPf.set(pf.bdf, entry);
  }
  for (const { pf, wanted } of byPf.values()) planVfsOf(pf, wanted, draft);
}

function planVfsOf(pf: PciFunction, wanted: VfDevice[], draft: Draft): void {
  const { picture } = draft;
  const first = wanted[0];
  if (first === undefined) return;
  const capable = ask(sriovCapable, picture, pf.bdf);
  if (capable.is !== 'pass') return refuseFailing(draft, first.at, [{ ...capable, is: 'fail' }]);
  const basic = ask(iommuOn, picture, pf.bdf);
  // A VF stands behind the unit of its PF: VFs are in no DMAR scope of their own (VT-d 5.10 §8.3.1).
  const findings =
    basic.is === 'fail' ? [basic] : [inGroup, interruptsRemapped].map((question) => ask(question, picture, pf.bdf));
  const at = wanted.at(-1)?.at ?? first.at;
  refuseFailing(draft, first.at, findings);
  const chosen = chooseVfs(picture, pf, wanted.length);
  if ('refused' in chosen) return refuseFailing(draft, at, [chosen.refused]);
  const created = chosen.create !== undefined;
  const folder = `/sys/bus/pci/devices/${pf.bdf}`;
  if (chosen.create !== undefined && pf.sriov !== undefined) {
    if (pf.sriov.driversAutoprobe)
      draft.steps.push({
        do: 'attribute',
        path: `${folder}/sriov_drivers_autoprobe`,
        value: '0',
        was: '1',
        why: 'host drivers must not take the new VFs',
      });
    draft.steps.push({
      do: 'create-vfs',
      pf: pf.bdf,
      count: chosen.create,
      was: pf.sriov.numVFs ?? 0,
      expect: chosen.vfs.map((vf) => vf.bdf),
      why: `${wanted.length} of its virtual functions ${wanted.length === 1 ? 'is' : 'are'} wanted`,
    });
  }
  const kind = kindOfDevice(pf);
  for (const [index, { vf, bdf }] of chosen.vfs.entries()) {
    const device = wanted[index];
    if (device === undefined) continue;
    planVfSettings(pf, kind, vf, bdf, device, created, draft);
    addDevice(draft, device.at, { bdf, kind, vf, ...namesOf(pf) });
  }
  const [name] = pf.interfaces;
  const link = picture.links.find((candidate) => candidate.name === name);
  if (kind === 'net' && link !== undefined && !link.up)
    draft.steps.push({
      do: 'set-link',
      interface: link.name,
      up: true,
      was: false,
      why: 'its VFs have no link while the PF is down',
    });
}

function planVfSettings(
  pf: PciFunction,
  kind: DeviceKind,
  vf: number,
  bdf: string,
  device: VfDevice,
  created: boolean,
  draft: Draft,
): void {
  const { queues, interrupts, ...link } = device.settings;
  const [name] = pf.interfaces;
  const wrong = (because: string): void => {
    draft.refusals.push({
      id: 'spec/vf',
      asks: 'Do the settings fit the device?',
      bdf: pf.bdf,
      at: device.at,
      is: 'fail',
      because,
      seen: [],
    });
  };
  if (Object.keys(link).length > 0) {
    if (kind !== 'net' || name === undefined)
      return wrong(`${Object.keys(link).join(', ')}: only a PF with a network interface has such settings for its VFs`);
    const was = draft.picture.links.find((candidate) => candidate.name === name)?.vfs[vf];
    draft.steps.push({
      do: 'set-vf',
      interface: name,
      vf,
      settings: link,
      ...(was === undefined ? {} : { was }),
      created,
      why: 'the spec asks for it; only the PF may decide it',
    });
  }
  if (kind === 'nvme') return planNvmeResources(pf, vf, bdf, { queues, interrupts }, device.at, draft);
  if (queues !== undefined || interrupts !== undefined)
    wrong('queues and interrupts: only a VF of an NVMe controller has such resources');
}

/** Least that a secondary controller works with: its admin queue and one more, one interrupt vector. NVMe Base 2.0 §8.26. */
const LEAST = { vq: 2, vi: 1 };

function planNvmeResources(
  pf: PciFunction,
  vf: number,
  bdf: string,
  wish: { queues: VfSpec['queues']; interrupts: VfSpec['interrupts'] },
  at: SourcePlace,
  draft: Draft,
): void {
  const [controller] = pf.nvme;
  const state = controller === undefined ? undefined : draft.picture.nvme[controller];
  const refuse = (is: Finding['is'], because: string, fix: string[]): void => {
    draft.refusals.push({
      id: 'nvme/resources',
      asks: 'Can the VF get queues and interrupts?',
      bdf: pf.bdf,
      at,
      is,
      because,
      seen: [],
      fix,
    });
  };
  if (controller === undefined || state === undefined) {
    const unread = draft.picture.unread.find(({ what }) => what === `/dev/${controller}`);
    return refuse(
      'unknown',
      unread === undefined
        ? 'it shows no secondary controllers'
        : `its secondary controllers could not be read: ${unread.because}`,
      ['run as root'],
    );
  }
  const secondary = state.secondaries.find((candidate) => candidate.vf === vf);
  if (secondary === undefined) return refuse('fail', `its list of secondary controllers has none for VF ${vf}`, []);
  const vq = wish.queues ?? Math.max(LEAST.vq, Math.floor(state.flexible.vq / Math.max(1, state.secondaries.length)));
  const vi = wish.interrupts ?? Math.max(LEAST.vi, Math.floor(state.flexible.vi / Math.max(1, state.secondaries.length)));
  if (secondary.online && secondary.vq === vq && secondary.vi === vi) return;
  const free = {
    vq: state.flexible.vq - total(state.secondaries, 'vq') + secondary.vq,
    vi: state.flexible.vi - total(state.secondaries, 'vi') + secondary.vi,
  };
  if (vq > free.vq || vi > free.vi)
    return refuse('fail', `it wants ${vq} queues and ${vi} interrupts, and ${free.vq} and ${free.vi} flexible ones are free`, [
      'ask for fewer with vf: { queues, interrupts }',
    ]);
  // What this plan takes is not free for the next VF of it.
  draft.picture = {
    ...draft.picture,
    nvme: {
      ...draft.picture.nvme,
      [controller]: { ...state, secondaries: state.secondaries.map((one) => (one === secondary ? { ...one, vq, vi } : one)) },
    },
  };
  draft.steps.push({
    do: 'nvme-resources',
    controller: `/dev/${controller}`,
    bdf,
    cntlid: secondary.scid,
    vq,
    vi,
    was: { online: secondary.online, vq: secondary.vq, vi: secondary.vi },
    why: 'a secondary controller works only online, with queues and an interrupt',
  });
}

function total(secondaries: readonly { vq: number; vi: number }[], which: 'vq' | 'vi'): number {
  return secondaries.reduce((sum, one) => sum + one[which], 0);
}

function refuseFailing(draft: Draft, at: SourcePlace, findings: readonly Finding[]): void {
  for (const finding of findings) if (finding.is === 'fail') draft.refusals.push({ ...finding, at });
}

function absent(picture: Picture, device: DeviceSpec, named: string): Refusal {
  const names = picture.functions.flatMap((found) => [...found.interfaces, ...found.nvme]);
  return {
    id: 'spec/device',
    asks: 'Is the device there?',
    bdf: named,
    at: device.at,
    is: 'fail',
    because: `there is no function ${named} on this host`,
    seen: [
      {
        where: '/sys/bus/pci/devices',
        text: `${picture.functions.length} functions${names.length === 0 ? '' : `; named: ${names.join(', ')}`}`,
      },
    ],
    fix: ['sluice inspect lists them'],
  };
}

/** What the user who applies the steps must be allowed, in the kernel's words. */
function rightsFor(steps: readonly Step[]): string[] {
  const rights = new Set<string>();
  for (const step of steps) {
    if (step.do === 'load-module') rights.add('CAP_SYS_MODULE: load a kernel module');
    if (step.do === 'attribute' || step.do === 'create-vfs' || step.do === 'bind') rights.add('root: write to /sys/bus/pci');
    if (step.do === 'set-link' || step.do === 'set-vf') rights.add('CAP_NET_ADMIN: network interfaces and VF settings');
    if (step.do === 'nvme-resources') rights.add(`CAP_SYS_ADMIN: admin commands to ${step.controller}`);
    if (step.do === 'prove-nvme') rights.add('read and write /dev/vfio/GROUP');
    if (step.do === 'start-guest') rights.add('CAP_SYS_RESOURCE: raise RLIMIT_MEMLOCK of QEMU');
  }
  return [...rights];
}
