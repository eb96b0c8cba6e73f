import { OPEN_FILES } from '../../host/picture.ts';
import { USAGE } from '../../host/usage.ts';
import { at, notApplicable, pass, unknown, withheld } from '../facts.ts';
import type { Problem } from '../problem.ts';
import { usersOfVfs } from '../sriov.ts';

export const sriovVfsInUse: Problem = {
  id: 'sriov-vfs-in-use',
  title: 'VFs cannot be removed, or are removed although a VM uses them',
  category: 'sriov',
  severity: 'broken',
  at: 'any',
  says: [
    {
      in: 'kernel',
      re: /Cannot modify SR-IOV while VFs are assigned/,
      example: 'igb 0000:01:00.0: Cannot modify SR-IOV while VFs are assigned',
      proof: 'src',
    },
    {
      in: 'kernel',
      re: /driver left SR-IOV enabled after remove/,
      example: 'pci 0000:01:00.0: driver left SR-IOV enabled after remove',
      proof: 'src',
    },
    {
      in: 'kernel',
      re: /No device request channel registered, blocked until released by user/,
      example: 'vfio-pci 0000:01:10.0: No device request channel registered, blocked until released by user',
      proof: 'src',
    },
  ],
  why: 'Reloading the PF driver or writing 0 takes the VFs away; vfio asks the VMM to let go and otherwise blocks.',
  see: [
    {
      read: '{d}/virtfn*/ -> each VF driver and opener (/proc/*/fd)',
      when: 'a VF is open by a VMM or in another netns',
      sure: 'certain',
    },
  ],
  fix: ['stop or hot-unplug first', 'plan the change with the list of affected VMs'],
  beware: 'Some PF drivers destroy the VFs on PF reset or firmware update too.',
  sources: [
    'gh:lxc/incus#2845',
    'gh:strongtz/i915-sriov-dkms#342',
    'linux:drivers/pci/iov.c',
    'linux:drivers/vfio/pci/vfio_pci_core.c',
  ],
  rules: [
    {
      about: 'function',
      asks: 'Could its VFs be taken away?',
      run(picture, found) {
        if (found.sriov === undefined) return notApplicable('it is no PF');
        const where = at(found, 'sriov_numvfs');
        if (found.sriov.numVFs === undefined)
          return {
            is: 'fail',
            because: 'the kernel does not say how many VFs it has: their removal is under way and waits for whoever has one open',
            seen: [{ where, text: 'no answer in time' }],
            fix: ['stop the guest that holds a VF of it', 'do not read sriov_numvfs meanwhile: the reader waits as well'],
          };
        const present = { where, text: String(found.sriov.numVFs) };
        if (found.sriov.numVFs === 0) return notApplicable('it has no VFs now', present);
        const users = usersOfVfs(picture, found);
        if (users.length > 0)
          return {
            is: 'fail',
            because: `${new Set(users.map(({ bdf }) => bdf)).size} of its ${found.sriov.numVFs} VFs are in use: writing 0 to sriov_numvfs, or taking its driver away, waits for ${[...new Set(users.map(({ what }) => what))].join(', ')}`,
            seen: [present, ...users.map(({ bdf, what, where: there }) => ({ where: there, text: `${bdf}: ${what}` }))],
          };
        const hidden = withheld(picture, USAGE) ?? withheld(picture, OPEN_FILES);
        if (hidden !== undefined)
          return unknown(`who has its ${found.sriov.numVFs} VFs open could not be read: ${hidden}`, present);
        return pass(`nobody was found to use its ${found.sriov.numVFs} VFs`, present);
      },
    },
  ],
};
