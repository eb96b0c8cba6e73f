import type { Vm } from '../check/vm.ts';
import { vmOf } from '../check/vm-argv.ts';
import { findFunction } from '../host/devices.ts';
import { planGuest } from './guest.ts';
import type { JournalDevice } from './journal.ts';
import type { PlanInput, Refusal } from './plan.ts';
import { plan } from './planner.ts';

/**
 * The VM of a spec, as its command line makes it, for the questions about VMs (`about: 'vm'`).
 *
 * Where planning refuses, `refusals` say why, and the VM is that of the functions which are there already; it is undefined
 * when not even a command line can be made.
 */
export function vmOfSpec(input: PlanInput): { vm: Vm | undefined; refusals: Refusal[] } {
  const planned = plan(input);
  if ('plan' in planned) {
    const { devices, steps, memlock } = planned.plan;
    const start = steps.find((step) => step.do === 'start-guest');
    return { vm: start === undefined ? undefined : describe(input, start.guest.argv, memlock.bytes, devices), refusals: [] };
  }
  const devices = input.spec.devices.flatMap((device): JournalDevice[] => {
    if (device.kind === 'vf') return [];
    const found = findFunction(input.picture, device.kind === 'address' ? device.address : device.interface);
    return found === undefined ? [] : [{ bdf: found.bdf, kind: 'other' }];
  });
  const guest = planGuest(input, devices, input.stateFolder);
  const vm = 'refusals' in guest ? undefined : describe(input, guest.start.argv, guest.start.memlock, devices);
  return { vm, refusals: planned.refusals };
}

function describe(input: PlanInput, argv: readonly string[], memlock: number, devices: readonly JournalDevice[]): Vm {
  const { spec, picture, qemu } = input;
  const vm = vmOf(argv, qemu, `QEMU command line for ${input.specFile}`);
  const pfs = new Map<string, number>();
  for (const device of spec.devices) {
    const pf = device.kind === 'vf' ? findFunction(picture, device.pf)?.bdf : undefined;
    if (pf !== undefined) pfs.set(pf, (pfs.get(pf) ?? 0) + 1);
  }
  return {
    ...vm,
    memlock,
    hostDevices: vm.hostDevices.map((host) => {
      const pf = devices.find(({ bdf }) => bdf === host.bdf)?.pf;
      return pf === undefined ? host : { ...host, pf };
    }),
    vfs: [...pfs].map(([pf, count]) => ({ pf, count })),
    assignsOn: spec.needs.includes('vfio') || spec.guests.some((guest) => guest.devices.length > 0),
    nests: spec.guests.length > 0,
  };
}
