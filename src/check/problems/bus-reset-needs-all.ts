import type { PciFunction } from '../../host/functions.ts';
import type { Picture } from '../../host/picture.ts';
import type { Verdict } from '../check.ts';
import { at, isBridge, kernelAtLeast, listed, notApplicable, ofEndpoints, pass, unknown } from '../facts.ts';
import type { Problem } from '../problem.ts';
import { resetTogether } from '../reset-domain.ts';
import { blockingMembers } from '../rules/group-viable.ts';

export const busResetNeedsAll: Problem = {
  id: 'bus-reset-needs-all',
  title: 'A hot reset needs every device on the bus or slot to be owned by this VM',
  category: 'reset',
  severity: 'broken',
  at: 'L0',
  says: [
    {
      in: 'qemu',
      re: /vfio: Cannot reset device [0-9a-f:.]+, depends on (group \d+|device [0-9a-f:.]+) which is not owned/,
      example: 'vfio: Cannot reset device 0000:01:00.0, depends on group 12 which is not owned.',
      proof: 'src',
    },
    {
      in: 'libvirt',
      re: /Active [0-9a-f:.]+ devices on bus with [0-9a-f:.]+, not doing bus reset/,
      example: 'internal error: Active 0000:01:00.1 devices on bus with 0000:01:00.0, not doing bus reset',
      proof: 'rep',
    },
  ],
  why: 'VFIO_DEVICE_PCI_HOT_RESET is allowed only when the caller owns all affected devices; siblings in other groups or with the host block it.',
  see: [
    { read: 'VFIO_DEVICE_GET_PCI_HOT_RESET_INFO', when: 'lists devices outside the plan', sure: 'certain' },
    { read: 'all functions under the same secondary bus', when: 'some are not assigned and {d} lacks FLR', sure: 'certain' },
  ],
  fix: ['assign or park (vfio-pci) all listed devices', 'prefer a device with FLR'],
  beware: "A VF's bus reset domain includes the PF; a PF is never reset through a VF.",
  sources: ['gh:cloud-hypervisor/cloud-hypervisor#8533', 'gh:rust-vmm/vfio#170', 'qemu:hw/vfio/container.c'],
  rules: [{ about: 'function', asks: 'Does a reset of its bus hit only what nobody else uses?', run: ofEndpoints(harmless) }],
};

function harmless(picture: Picture, found: PciFunction): Verdict {
  if (found.physfn !== undefined) return notApplicable('a VF has a reset of its own, and is never reset through its bus');
  const methods = { where: at(found, 'reset_method'), text: found.resetMethods?.join(' ') ?? 'absent' };
  if (found.resetMethods !== undefined)
    return notApplicable(`it has ways of reset that leave others alone: ${methods.text}`, methods);
  if (kernelAtLeast(picture, 5, 15) !== true)
    return unknown('this kernel does not show whether it can be reset on its own', methods);
  const others = resetTogether(picture, found).filter(({ bdf }) => bdf !== found.bdf);
  if (others.length === 0) return notApplicable('its bus cannot be reset: it is no bus below a bridge', methods);
  const seen = [methods, ...others.slice(0, 8).map((one) => ({ where: at(one, 'driver'), text: one.driver ?? 'none' }))];
  const used = blockingMembers(
    others.filter((one) => !isBridge(one)),
    [],
  );
  if (used.length > 0)
    return {
      is: 'fail',
      because: `it can be reset only with its bus, where the host uses ${listed(used.map(({ bdf, driver }) => `${bdf} (driver ${driver})`))}`,
      seen,
    };
  const apart = others.filter((one) => one.group !== found.group && !isBridge(one)).map(({ bdf }) => bdf);
  return pass(
    `it can be reset only with its bus, where no host driver has another function${apart.length === 0 ? '' : `; ${listed(apart)} of other groups must go to the same guest`}`,
    ...seen,
  );
}
