import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { BDF, fn, pictureOf } from '../../test/pictures.ts';
import { PROBLEMS } from './problems/index.ts';
import { vmOf } from './vm-argv.ts';

const value = fc.oneof(
  fc.constantFrom('on', 'off', '0', '-1', '255', '39', '48', '1e9', '99999999999999999', '0-9999', '4G', '16E', '0x', '', 'x'),
  fc.string({ maxLength: 6 }),
);
const NAMES = [
  'host iommufd bus id vf-token intremap eim aw-bits caching-mode fsts x-flts device-iotlb snoop-control dma-remap',
  'bypass_iommu iommu_platform ats netdev free-page-reporting granule hugetlb hugetlbsize host-nodes policy size slots maxmem',
  'sockets cores threads dies maxcpus phys-bits host-phys-bits host-phys-bits-limit kernel-irqchip mem-path string',
]
  .join(' ')
  .split(' ');
const settings = fc
  .array(fc.tuple(fc.constantFrom(...NAMES), value), { maxLength: 5 })
  .map((pairs) => pairs.map(([name, text]) => `,${name}=${text}`).join(''));
const option = fc
  .tuple(
    fc.constantFrom(
      '-device intel-iommu',
      '-device amd-iommu',
      '-device virtio-iommu-pci',
      `-device vfio-pci,host=${BDF}`,
      '-device virtio-net-pci',
      '-device virtio-balloon-pci',
      '-device pxb-pcie,id=p',
      '-object memory-backend-file,mem-path=/dev/hugepages1G',
      '-netdev tap,id=n,vhost=on',
      '-machine q35',
      '-machine pc',
      '-accel kvm',
      '-m 4G',
      '-m 0',
      '-smp 3',
      '-cpu host',
      '-fw_cfg name=opt/ovmf/X-PciMmio64Mb',
      '-drive if=pflash,file=/OVMF.fd',
    ),
    settings,
  )
  .map(([head, tail]) => [head.split(' ')[0]!, `${head.split(' ')[1]}${tail}`]);

test('whatever the line, every question about a VM has an answer with a reason', () => {
  const nodes = {
    '/proc/cpuinfo': 'address sizes\t: 39 bits physical, 48 bits virtual\n',
    '/proc/meminfo': 'Hugepagesize: 2048 kB\n',
  };
  const odd = [{ number: 1, type: 'DMA', devices: [BDF], reserved: [{ start: 'x', end: '0xffff', type: 'direct' }] }];
  const pictures = [
    pictureOf({ texts: nodes, groups: odd }),
    pictureOf({ functions: [], units: [], groups: [] }),
    pictureOf({
      functions: [fn(BDF, { driver: 'vfio-pci', numaNode: 1 })],
      folders: { '/sys/devices/system/node': ['node0', 'node1'] },
    }),
  ];
  fc.assert(
    fc.property(fc.array(option, { maxLength: 8 }), fc.boolean(), (options, assignsOn) => {
      const vm = { ...vmOf(['qemu-system-x86_64', ...options.flat()]), assignsOn };
      for (const picture of pictures)
        for (const { id, rules } of PROBLEMS)
          for (const rule of rules) {
            if (rule.about !== 'vm') continue;
            const { is, because, seen } = rule.run(vm, picture);
            const said = `${id} ${is}: ${because}`;
            assert.match(because, /\S/, said);
            assert.doesNotMatch(because, /undefined|NaN|\[object/, said);
            for (const { where } of seen) assert.match(where, /\S/, said);
          }
    }),
    { numRuns: 300, seed: 11 },
  );
});
