import type { Picture } from '../../host/picture.ts';
import type { Verdict } from '../check.ts';
import { configPath, kernelConfig, notApplicable, pass } from '../facts.ts';
import { iommuState, tableIs } from '../iommu-state.ts';
import type { Problem } from '../problem.ts';
import { iommuOn } from '../rules/iommu-on.ts';

export const virtioIommuNoDriver: Problem = {
  id: 'virtio-iommu-no-driver',
  title: 'The guest has a virtio-iommu but its kernel has no driver for it',
  category: 'viommu',
  severity: 'broken',
  at: 'L1',
  says: [
    {
      in: 'guest',
      re: /ACPI: VIOT/,
      example: 'ACPI: VIOT 0x000000003FFE2000 000070 (v00 BOCHS  BXPC     00000001 BXPC 00000001)',
      proof: 'rep',
      marker: true,
    },
  ],
  why: 'CONFIG_VIRTIO_IOMMU and ACPI VIOT support are needed (x86 from 5.14). Many distribution kernels leave it out; with boot-bypass=on the devices then simply stay untranslated.',
  see: [
    { read: 'guest kernel config CONFIG_VIRTIO_IOMMU', when: 'not set', sure: 'certain' },
    { read: 'guest ACPI VIOT present and /sys/class/iommu', when: 'empty', sure: 'certain' },
  ],
  fix: ['intel-iommu for such guests', 'another kernel'],
  beware:
    "Debian's 6.1 amd64 kernel has it off (seen). Windows has no driver; Incus therefore chooses intel-iommu for Windows. boot-bypass hides the failure. No interrupt remapping comes with it on x86.",
  sources: [
    'debian:/boot/config-6.1.0-56-amd64',
    'lxc/incus:internal/server/instance/drivers/driver_qemu_templates.go',
    'cloud-hypervisor:docs/iommu.md',
    'qemu:hw/virtio/virtio-iommu.c',
  ],
  rules: [{ about: 'host', asks: 'Has the virtio-iommu of this guest a driver?', run: judge }],
};

const OPTION = 'CONFIG_VIRTIO_IOMMU';

function judge(picture: Picture): Verdict {
  if (tableIs(picture, 'VIOT').is === 'absent') return notApplicable('firmware gives no VIOT table');
  const verdict = iommuOn.run(picture, '');
  const { is } = iommuState(picture);
  if (is === 'on' || is === 'no-group') return pass('a driver has it', ...verdict.seen);
  if (is !== 'no-driver') return { ...verdict, is: 'unknown' };
  const built = kernelConfig(picture, OPTION);
  const config = built === undefined ? [] : [{ where: configPath(picture.system.kernel), text: `${OPTION}=${built}` }];
  return {
    is: 'fail',
    because: built === 'n' ? `firmware gives a VIOT table, and this kernel was built without ${OPTION}` : verdict.because,
    seen: [...verdict.seen, ...config],
    ...(built === 'n' || verdict.fix === undefined ? {} : { fix: verdict.fix }),
  };
}
