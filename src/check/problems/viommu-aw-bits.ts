import type { Picture } from '../../host/picture.ts';
import { functionOf } from '../../host/picture.ts';
import type { Verdict } from '../check.ts';
import { notApplicable, pass, unknown } from '../facts.ts';
import type { Problem } from '../problem.ts';
import { hostWidth } from '../viommu.ts';
import { iommuOf, iommuSetting, quote, translated, type Vm } from '../vm.ts';

export const viommuAwBits: Problem = {
  id: 'viommu-aw-bits',
  title: 'The vIOMMU announces more address bits than the host IOMMU has (or fewer than the guest uses)',
  category: 'viommu',
  severity: 'blocker',
  at: 'L0',
  says: [
    {
      in: 'qemu',
      re: /aw-bits (\d+) > host aw-bits (\d+)/,
      example: 'vfio 0000:01:00.0: Failed to set vIOMMU: aw-bits 48 > host aw-bits 39',
      proof: 'src',
    },
    {
      in: 'qemu',
      re: /[Ss]upported values for aw-bits are: 39, 48/,
      example: 'Legacy mode: supported values for aw-bits are: 39, 48',
      proof: 'seen',
    },
    {
      in: 'qemu',
      re: /Scalable mode\((x-)?f[ls]ts=on\): supported value for aw-bits is: 48/,
      example: 'Scalable mode(fsts=on): supported value for aw-bits is: 48',
      proof: 'seen',
    },
    { in: 'qemu', re: /aw-bits must be within \[32,64\]/, example: 'aw-bits must be within [32,64]', proof: 'src' },
    { in: 'guest', re: /DMAR: Host address width (\d+)/, example: 'DMAR: Host address width 39', proof: 'seen', marker: true },
  ],
  why: 'The default changed: 39 in QEMU 7.2, 48 in 10.0 (seen). On a client host with a 39-bit IOMMU a command line that worked now fails; on a 48-bit host 39 makes high BARs unmappable in L1.',
  see: [
    {
      read: 'host /sys/class/iommu/*/intel-iommu/cap MGAW+1 and SAGAW; QEMU version; plan aw-bits',
      when: 'aw-bits > min(MGAW+1, widest SAGAW)',
      sure: 'certain',
    },
    { read: 'plan: end of the guest 64-bit window', when: '> 2^aw-bits', sure: 'certain' },
  ],
  fix: ['set aw-bits explicitly to min(48, host)', 'if 39: keep guest phys-bits <= 39'],
  beware:
    "OpenStack Nova hard-codes 48, so vIOMMU guests fail on 39-bit compute nodes. virtio-iommu defaults to 64 and is reduced by the host's reserved ranges.",
  sources: [
    'qemu:hw/i386/intel_iommu.c vtd_check_hiod',
    'qemu-7.2/10.0.13/11.1.2 -device intel-iommu,help',
    'openstack/nova:nova/virt/libvirt/driver.py',
    'gh:cloud-hypervisor/cloud-hypervisor#7030',
    'gh:openai/vetu#61',
  ],
  rules: [{ about: 'vm', asks: 'Can the host translate as many bits as the vIOMMU announces?', run: judge }],
};

function judge(vm: Vm, picture: Picture): Verdict {
  const iommu = iommuOf(vm);
  if (iommu?.kind !== 'intel') return notApplicable('it has no intel-iommu');
  const own = quote(vm, iommu.device);
  const devices = translated(vm);
  if (devices.length === 0) return notApplicable('no host device is behind it', own);
  const given = iommu.device.props['aw-bits'];
  const bits = Number(iommuSetting(vm, iommu, 'aw-bits'));
  const bdfs = devices.flatMap(
    ({ bdf, pf }) => [bdf, pf].find((one) => one !== undefined && functionOf(picture, one) !== undefined) ?? [],
  );
  const host = hostWidth(picture, bdfs);
  const seen = [own, ...host.seen];
  if (Number.isNaN(bits))
    return unknown(
      `aw-bits is not given, and the default of the QEMU in use was not asked: 39 in 7.2, 48 in 10.0${host.bits === undefined ? '' : `; this host has ${host.bits}`}`,
      ...seen,
    );
  if (host.bits === undefined) return unknown('how many bits the units before its devices translate could not be read', ...seen);
  const how = given === undefined ? 'the default of this QEMU' : 'as given';
  if (bits > host.bits)
    return {
      is: 'fail',
      because: `aw-bits is ${bits} (${how}), and this host translates ${host.bits}: QEMU refuses the device`,
      seen,
      fix: [
        `aw-bits=${host.bits >= 48 ? 48 : 39}`,
        ...(host.bits < 48 ? ['host-phys-bits-limit=39 of -cpu, so that the guest puts nothing higher'] : []),
      ],
    };
  return pass(`aw-bits is ${bits} (${how}), and this host translates ${host.bits}`, ...seen);
}
