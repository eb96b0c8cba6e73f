import type { Verdict } from '../check.ts';
import { notApplicable, pass, unknown } from '../facts.ts';
import type { Problem } from '../problem.ts';
import { quote, type Vm } from '../vm.ts';

export const ramDiscardConflict: Problem = {
  id: 'ram-discard-conflict',
  title: 'Ballooning, postcopy or a confidential guest conflicts with pinned memory',
  category: 'memory',
  severity: 'blocker',
  at: 'L0',
  says: [
    {
      in: 'qemu',
      re: /Cannot set discarding of RAM broken: Device or resource busy/,
      example: 'failed to setup container for group 44: Cannot set discarding of RAM broken: Device or resource busy',
      proof: 'rep',
    },
    {
      in: 'qemu',
      re: /x-balloon-allowed only potentially compatible with mdev devices/,
      example: 'x-balloon-allowed only potentially compatible with mdev devices',
      proof: 'src',
    },
  ],
  why: 'Pinned pages must not be discarded; virtio-balloon, virtio-mem without coordination, or guest_memfd in some QEMU versions want to discard.',
  see: [
    {
      read: 'plan devices',
      when: 'virtio-balloon with free page reporting, or confidential-guest-support with QEMU 9.1',
      sure: 'likely',
    },
  ],
  fix: ['drop the balloon', 'QEMU 9.2 or newer for SEV-SNP + VFIO'],
  beware: 'With a plain balloon QEMU just stops ballooning silently; the guest then shows less memory than is in use.',
  sources: ['gh:kubevirt/kubevirt#16407', 'qemu:hw/vfio/container.c', 'qemu:hw/vfio/pci.c'],
  rules: [{ about: 'vm', asks: 'Does nothing want to discard memory that its host devices have pinned?', run: judge }],
};

function judge(vm: Vm): Verdict {
  if (vm.hostDevices.length === 0) return notApplicable('it has no host devices: nothing is pinned');
  if (vm.confidential !== undefined) {
    const seen = { where: vm.from, text: vm.confidential };
    const version = vm.qemu?.version;
    if (version === undefined)
      return unknown(`QEMU 9.1 refuses ${vm.confidential} with host devices, and which QEMU is in use was not asked`, seen);
    const asked = { where: 'qemu-system-x86_64 -h', text: version };
    if (/^9\.1\b/.test(version))
      return {
        is: 'fail',
        because: `QEMU ${version} wants to discard the memory of ${vm.confidential}, and its host devices pin it: it does not start`,
        seen: [seen, asked],
      };
  }
  const balloons = vm.devices.filter(({ driver }) => driver.startsWith('virtio-balloon'));
  const reporting = balloons.filter(({ props }) => props['free-page-reporting'] === 'on');
  if (reporting.length > 0)
    return {
      is: 'fail',
      because:
        'free-page-reporting=on gives pages back that the host devices have pinned: QEMU leaves it undone, and no memory comes back',
      seen: reporting.map((device) => quote(vm, device)),
      fix: ['leave free-page-reporting out, or the balloon'],
    };
  if (balloons.length > 0)
    return pass(
      'QEMU stops its balloon while it has host devices: it does no harm, and frees no memory',
      ...balloons.map((device) => quote(vm, device)),
    );
  return pass('it has no balloon');
}
