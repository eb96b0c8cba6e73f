import type { Finding } from '../check/check.ts';
import { registersOf } from '../check/units.ts';
import { hostWidth } from '../check/viommu.ts';
import type { Picture } from '../host/picture.ts';
import { buildArgv, type GuestMachine, guestFiles } from '../qemu/index.ts';
import { memlockNeed } from '../vfio/index.ts';
import type { JournalDevice } from './journal.ts';
import type { Plan, PlanInput } from './plan.ts';
import type { VmSpec } from './spec.ts';
import type { GuestToStart } from './step.ts';
import { stableUuid } from './uuid.ts';

export type GuestPlan =
  | { start: GuestToStart; memlock: Plan['memlock']; accel: 'kvm' | 'tcg'; warnings: string[] }
  | { refusals: Finding[] };

/** Chooses how the guest is run and writes its command line. The address each device will have in it goes into `devices`. */
export function planGuest(input: PlanInput, devices: JournalDevice[], folder: string): GuestPlan {
  const { spec, picture, qemu } = input;
  const iommu = chooseIommu(input);
  if (typeof iommu !== 'string') return { refusals: [iommu] };
  const accel = picture.kvm.usable ? 'kvm' : 'tcg';
  const uuid = stableUuid(input.stateFolder, spec.name);
  const machine: GuestMachine = {
    name: spec.name,
    uuid,
    memory: spec.memory,
    vcpus: spec.vcpus,
    machine: spec.machine,
    firmware: 'seabios',
    disks: spec.disk === undefined ? [] : [{ path: spec.disk, format: /\.qcow2$/i.test(spec.disk) ? 'qcow2' : 'raw' }],
    iommu,
    accel,
    accelBecause: picture.kvm.because,
    devices: devices.map((device, index) => ({ bdf: device.bdf, id: `pt${index}` })),
    folder,
  };
  if (spec.firmware === 'ovmf') {
    if (input.ovmf === undefined)
      return {
        refusals: [refuse('qemu/firmware', 'OVMF is asked for and was not found on this host', ['install the package ovmf'])],
      };
    machine.firmware = { ovmf: { code: input.ovmf.code, vars: `${folder}/OVMF_VARS.fd` } };
  }
  if (spec.kernel !== undefined) machine.kernel = spec.kernel;
  if (spec.initrd !== undefined) machine.initrd = spec.initrd;
  if (spec.append !== undefined) machine.append = spec.append;
  const width = addressWidth(picture, devices);
  if (iommu === 'intel' && width !== undefined) machine.addressWidth = width;
  const built = buildArgv(machine, qemu);
  if (built.refusals !== undefined)
    return { refusals: built.refusals.map(({ about, because }) => refuse('qemu/options', `${about}: ${because}`, [])) };
  for (const placed of built.placed) {
    const device = devices.find((candidate) => candidate.bdf === placed.bdf);
    if (device !== undefined) device.guest = placed.guest;
  }
  const need = memlockNeed({ memory: spec.memory, devices: devices.length, viommu: iommu !== 'none' });
  const warnings = [...built.warnings];
  if (need.bytes > picture.system.memory)
    warnings.push(`${need.bytes} bytes may have to be locked, and this host has ${picture.system.memory} bytes of memory`);
  return {
    start: {
      name: spec.name,
      uuid,
      argv: built.argv,
      memlock: need.bytes,
      folder,
      files: guestFiles(folder),
      // A guest may keep its file systems on the very device that it was given.
      disk: spec.disk !== undefined || devices.some((device) => device.kind !== 'net'),
      agent: spec.agent,
      timeout: spec.timeout,
      ...(spec.firmware === 'ovmf' && input.ovmf !== undefined ? { vars: input.ovmf.vars } : {}),
    },
    memlock: { bytes: need.bytes, text: need.text, terms: need.terms },
    accel,
    warnings,
  };
}

/**
 * Bits of the guest's IOVAs: no more than the units before its devices can translate, or QEMU refuses the device. Undefined
 * when they do not say.
 */
function addressWidth(picture: Picture, devices: readonly JournalDevice[]): 39 | 48 | undefined {
  const { bits } = hostWidth(
    picture,
    devices.flatMap(({ bdf, pf }) => (pf === undefined ? [bdf] : [pf])),
  );
  return bits === undefined ? undefined : bits >= 48 ? 48 : 39;
}

function chooseIommu({ spec, picture, qemu }: PlanInput): 'none' | 'intel' | 'virtio' | Finding {
  switch (spec.iommu) {
    case 'none':
    case 'intel':
    case 'virtio':
      return spec.iommu;
    case 'auto':
      return needsIommu(spec)
        ? spec.machine === 'q35' && qemu.devices['intel-iommu'] !== undefined
          ? 'intel'
          : 'virtio'
        : 'none';
    case 'intel-nested': {
      const nesting = picture.units.some((unit) => registersOf(unit)?.ecap.NEST === 1);
      return refuse(
        'qemu/nested',
        nesting
          ? 'a unit of this host can nest (ECAP_REG.NEST is 1), but Sluice does not set up nested translation'
          : 'no unit of this host can nest (ECAP_REG.NEST is 0), so a guest cannot be given a first stage of its own',
        ['iommu: intel: the guest sees the same, and QEMU composes the two stages in software'],
      );
    }
    default:
      return spec.iommu satisfies never;
  }
}

/** A guest that assigns devices on, to user space or to guests of its own, must see an IOMMU. */
function needsIommu(spec: VmSpec): boolean {
  return spec.needs.includes('vfio') || spec.guests.some((guest) => guest.devices.length > 0);
}

function refuse(id: string, because: string, fix: string[]): Finding {
  return { id, asks: 'Can the installed QEMU run it here?', bdf: '', is: 'fail', because, seen: [], fix };
}
