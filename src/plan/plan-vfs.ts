import { ask } from '../check/check.ts';
import { inGroup } from '../check/rules/in-group.ts';
import { interruptsRemapped } from '../check/rules/interrupts-remapped.ts';
import { iommuOn } from '../check/rules/iommu-on.ts';
import { sriovCapable } from '../check/rules/sriov-capable.ts';
import { type DeviceKind, findFunction, kindOfDevice } from '../host/devices.ts';
import type { PciFunction } from '../host/functions.ts';
import { absent, addDevice, type Draft, namesOf, refuseFailing } from './draft.ts';
import { planNvmeResources, refuseSharedNamespaces } from './plan-nvme.ts';
import type { DeviceSpec, VmSpec } from './spec.ts';
import { chooseVfs } from './vfs.ts';

type VfDevice = Extract<DeviceSpec, { kind: 'vf' }>;

/** The VFs that the spec asks for, by their PFs: created or taken, and set as it says. */
export function planVfs(spec: VmSpec, draft: Draft): void {
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
  refuseSharedNamespaces(pf, at, draft);
  const chosen = chooseVfs(picture, pf, wanted.length, draft.claimed);
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
