import type { PciFunction } from '../../host/functions.ts';
import type { Picture } from '../../host/picture.ts';
import { unitNamed } from '../../host/picture.ts';
import { atsOf, expressOf, pasidOf, priOf } from '../../pci/index.ts';
import type { Verdict } from '../check.ts';
import { optionValues } from '../cmdline.ts';
import { isUntrusted } from '../domain.ts';
import { at, isBridge, notApplicable, pass, unknown } from '../facts.ts';
import { configOf } from '../index-of.ts';
import type { Problem } from '../problem.ts';
import { registersOf } from '../units.ts';

export const atsPasidHidden: Problem = {
  id: 'ats-pasid-hidden',
  title: 'The guest does not see ATS, PRI or PASID of the device',
  category: 'viommu',
  severity: 'slow',
  at: 'L0',
  says: [
    {
      in: 'qemu',
      re: /vfio-pci: host kernel reports ATS unsupported; ATS capability will be masked/,
      example: 'vfio-pci: host kernel reports ATS unsupported; ATS capability will be masked',
      proof: 'src',
    },
    {
      in: 'qemu',
      re: /vfio-pci: ATS requested but not supported by kernel/,
      example: 'vfio-pci: ATS requested but not supported by kernel',
      proof: 'src',
    },
    {
      in: 'kernel',
      re: /vfio_ecap_init: hiding ecap 0x(0?f|13|1b)@/,
      example: 'vfio-pci 0000:00:02.0: vfio_ecap_init: hiding ecap 0x1b@0x100',
      proof: 'rep',
    },
  ],
  why: 'vfio-pci hides PASID and PRI; ATS is offered only if the (v)IOMMU supports device TLBs (device-iotlb=on, ECAP.DT) and the device is trusted and in an ATSR/SATC scope.',
  see: [
    {
      read: 'host ecap bit 2 DT; DMAR ATSR/SATC scopes; {d} ATS capability (ext 0x000F)',
      when: 'not all present',
      sure: 'certain',
    },
  ],
  fix: ['device-iotlb=on where wanted', 'QEMU 11: ats=, pasid-bits=, fsts for PASID'],
  beware: 'A device with ATS may cache translations; a guest-controlled ATS device must be trusted to obey invalidations.',
  sources: [
    'qemu-11.1.2',
    'gh:NVIDIA/NV-Kernels#130',
    'gh:patmagauran/i915ovmfPkg#16',
    'linux:drivers/vfio/pci/vfio_pci_config.c',
  ],
  rules: [{ about: 'function', asks: 'Would a guest see the ATS, PRI and PASID that it has?', run: judge }],
};

function judge(picture: Picture, found: PciFunction): Verdict {
  if (isBridge(found)) return notApplicable('a bridge stays with the host');
  const config = configOf(found);
  // Without a PCI Express capability there is no extended space, where all three are.
  const conventional = config !== undefined && config.length >= HEADERS && expressOf(config) === undefined;
  if (conventional) return notApplicable('it is conventional PCI, which has none of them');
  if (config === undefined || config.length <= HEADERS)
    return unknown('its extended capabilities could not be read: that needs root');
  const where = at(found, 'config');
  const has = { ATS: atsOf(config) !== undefined, PRI: priOf(config) !== undefined, PASID: pasidOf(config) !== undefined };
  const names = Object.entries(has).flatMap(([name, there]) => (there ? [name] : []));
  if (names.length === 0) return notApplicable('it has none of them', { where, text: 'no ATS, PRI or PASID capability' });
  const seen = [{ where, text: `${names.join(', ')} capability` }];
  const hidden: string[] = [];
  const rest = names.filter((name) => name !== 'ATS');
  if (rest.length > 0) hidden.push(`vfio-pci hides ${rest.join(' and ')}`);
  const unit = found.unit === undefined ? undefined : unitNamed(picture, found.unit);
  const registers = unit === undefined ? undefined : registersOf(unit);
  if (has.ATS) {
    if (unit?.ecap !== undefined) seen.push({ where: `/sys/class/iommu/${unit.name}/intel-iommu/ecap`, text: unit.ecap });
    if (registers?.ecap.DT === 0) hidden.push(`ECAP_REG.DT of ${unit?.name} is 0, so ATS is of no use`);
    if (optionValues(picture.system.cmdline, 'pci').includes('noats')) hidden.push('pci=noats is on the command line');
    if (isUntrusted(found)) hidden.push('it can be unplugged, so the kernel does not let it use ATS');
  }
  if (hidden.length > 0) return { is: 'fail', because: hidden.join('; '), seen };
  if (registers === undefined) return unknown('whether the unit before it supports device TLBs could not be read', ...seen);
  return pass(`ATS can be given on with device-iotlb=on; ${unit?.name} supports it`, ...seen);
}

/** The part of configuration space that has no extended capabilities. */
const HEADERS = 256;
