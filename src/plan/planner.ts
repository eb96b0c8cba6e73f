import { judgeAssignment } from '../check/assignable.ts';
import type { Finding } from '../check/check.ts';
import { findFunction, kindOfDevice } from '../host/devices.ts';
import type { PciFunction } from '../host/functions.ts';
import { functionOf, type Picture } from '../host/picture.ts';
import { absent, addDevice, type Draft, namesOf, refuseFailing } from './draft.ts';
import { planGuest } from './guest.ts';
import { type JournalDevice, stateOf } from './journal.ts';
import type { Plan, PlanInput, Planned } from './plan.ts';
import { planVfs } from './plan-vfs.ts';
import type { SourcePlace, VmSpec } from './spec.ts';
import type { Step } from './step.ts';

/**
 * Plans one VM. Pure: the same spec and picture give the same plan.
 * @returns the plan, or every reason why there is none, each with its evidence and its place in the spec
 */
export function plan(input: PlanInput): Planned {
  const { spec } = input;
  const given = givenFunctions(input);
  const draft: Draft = {
    picture: asGiven(input.picture, given),
    present: input.picture,
    claimed: input.claimed,
    steps: [],
    afterBind: [],
    devices: [],
    refusals: [],
    warnings: [],
  };
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
  draft.steps.push(...draft.afterBind);
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
    const findings = judgeAssignment(draft.picture, found.bdf);
    refuseFailing(draft, device.at, findings);
    // A guest that runs was found by what it has open.
    if (!findings.some((finding) => finding.is === 'fail')) refuseFailing(draft, device.at, claimedBy(draft, found.bdf));
    for (const finding of findings)
      if (finding.is === 'unknown')
        draft.warnings.push(`${found.bdf}: ${finding.asks} That could not be told: ${finding.because}`);
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

/** Functions of another VM are not free, whether or not that runs: its revert would take them away. */
function claimedBy(draft: Draft, bdf: string): Finding[] {
  const name = draft.claimed[bdf];
  if (name === undefined) return [];
  return [
    {
      id: 'use/claimed',
      asks: 'Does another VM of Sluice have it?',
      bdf,
      is: 'fail',
      because: `it is given to ${name}, which is applied`,
      seen: [{ where: 'sluice status', text: name }],
      fix: [`sluice revert ${name}`],
    },
  ];
}

/** For a VF that is named by its address: which VF of which PF it is. */
function partOf(picture: Picture, found: PciFunction): Partial<JournalDevice> {
  const pf = functionOf(picture, found.physfn ?? '');
  const vf = pf?.virtfns.indexOf(found.bdf) ?? -1;
  return pf === undefined || vf < 0 ? {} : { vf, ...namesOf(pf) };
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
