import type { Verdict } from '../check.ts';
import { listed, notApplicable, pass } from '../facts.ts';
import type { Problem } from '../problem.ts';
import type { Vm } from '../vm.ts';

export const confidentialVfio: Problem = {
  id: 'confidential-vfio',
  title: 'An assigned device does not work in a TDX or SEV-SNP guest',
  category: 'confidential',
  severity: 'broken',
  at: 'L0',
  says: [],
  why: 'Device DMA reaches only shared pages, so drivers bounce through swiotlb; user-space drivers that map their own memory (DPDK in the guest) see ciphertext; old stacks lack support altogether (groups cannot express it, iommufd is needed).',
  see: [
    {
      read: 'plan: confidential-guest-support and a vfio device',
      when: 'legacy container, or QEMU < 9.2, or the guest runs a user-space DMA driver',
      sure: 'likely',
    },
  ],
  fix: [
    'iommufd backend',
    'cold-plug',
    'larger swiotlb in the guest',
    'raise dma_entry_limit',
    'TDISP-capable hardware when it exists',
  ],
  beware: 'Nested vIOMMU inside a confidential guest is not available.',
  sources: [
    'gh:AMDESE/AMDSEV#185',
    'gh:kata-containers/kata-containers#12393',
    'gh:kata-containers/kata-containers#11721',
    'gh:canonical/tdx#137',
    'gh:kubevirt/kubevirt#16407',
  ],
  rules: [{ about: 'vm', asks: 'Are its devices given in a way that a confidential guest can use?', run: usable }],
};

function usable(vm: Vm): Verdict {
  if (vm.confidential === undefined) return notApplicable('it is no confidential guest');
  if (vm.hostDevices.length === 0) return notApplicable('it gets no device of the host');
  const seen = [
    { where: vm.from, text: vm.confidential },
    ...vm.hostDevices.map(({ device }) => ({ where: vm.from, text: device.text })),
  ];
  const legacy = vm.hostDevices.filter(({ backend }) => backend === 'container').map(({ device }) => device.text);
  const against = [
    ...(legacy.length === 0 ? [] : [`${listed(legacy)} uses the VFIO container, which cannot express private memory`]),
    ...(vm.assignsOn === true ? ['drivers in user space map memory of their own, which devices see encrypted'] : []),
    ...(vm.iommus.length === 0 ? [] : ['a vIOMMU is not available in a confidential guest']),
  ];
  if (against.length > 0) return { is: 'fail', because: against.join('; '), seen };
  return pass('its devices use iommufd; DMA goes through shared pages (swiotlb) all the same', ...seen);
}
