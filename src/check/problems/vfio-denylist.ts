import type { PciFunction } from '../../host/functions.ts';
import type { Picture } from '../../host/picture.ts';
import type { Verdict } from '../check.ts';
import { at, kernelAtLeast, notApplicable, pass, unknown } from '../facts.ts';
import { idsOf } from '../index-of.ts';
import type { Problem } from '../problem.ts';

export const vfioDenylist: Problem = {
  id: 'vfio-denylist',
  title: "vfio-pci refuses the device because it is on the kernel's deny list",
  category: 'bind',
  severity: 'blocker',
  at: 'L0',
  says: [
    {
      in: 'kernel',
      re: /[0-9a-f]{4}:[0-9a-f]{4} exists in vfio-pci device denylist, driver probing disallowed/,
      example: 'vfio-pci 0000:3d:00.0: 8086:37c8 exists in vfio-pci device denylist, driver probing disallowed.',
      proof: 'src',
    },
  ],
  why: 'Older QAT functions and some DSA/IAX steppings can be driven to harm the host from a guest.',
  see: [
    {
      read: '{d}/vendor,device',
      when: 'Intel QAT C3xxx / C62x / DH895xCC (PF or VF), DSA or IAX of Sapphire Rapids',
      sure: 'certain',
    },
  ],
  fix: ['use the in-kernel driver', 'disable_denylist=1 only for a trusted guest'],
  beware: 'The list grows with kernel versions.',
  sources: ['linux:drivers/vfio/pci/vfio_pci.c'],
  rules: [{ about: 'function', asks: 'Does vfio-pci take a device of its kind?', run: allowed }],
};

/** Since 5.9. Source: Linux vfio_pci_dev_in_denylist(). */
const QUICK_ASSIST = ['19e2', '19e3', '37c8', '37c9', '0435', '0443'].map((device) => `8086:${device}`);
/** Since 6.10, and in updates of older kernels. */
const DATA_STREAMING = ['0b25', '0cfe'].map((device) => `8086:${device}`);

function allowed(picture: Picture, found: PciFunction): Verdict {
  const ids = idsOf(found);
  const late = DATA_STREAMING.includes(ids);
  if (!late && !QUICK_ASSIST.includes(ids)) return notApplicable('it is not on the list of vfio-pci');
  const seen = [{ where: at(found, 'vendor, device'), text: ids }];
  if (found.driver === 'vfio-pci') return pass('it is of a kind that is on the list, and vfio-pci has it all the same', ...seen);
  if (picture.parameters.vfio_pci?.disable_denylist === 'Y')
    return pass('it is on the list, and disable_denylist is set: its guest has to be trusted', ...seen, {
      where: '/sys/module/vfio_pci/parameters/disable_denylist',
      text: 'Y',
    });
  if (late && kernelAtLeast(picture, 6, 10) !== true)
    return unknown(`${ids} is on the list from Linux 6.10 and in updates of older kernels: binding it would tell`, ...seen, {
      where: '/proc/sys/kernel/osrelease',
      text: picture.system.kernel,
    });
  return { is: 'fail', because: `vfio-pci refuses ${ids}: a guest could harm the host through it`, seen };
}
