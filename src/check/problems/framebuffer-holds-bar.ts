import type { PciFunction } from '../../host/functions.ts';
import type { Picture } from '../../host/picture.ts';
import type { Verdict } from '../check.ts';
import { at, notApplicable, pass, unknown } from '../facts.ts';
import { ownersInside } from '../iomem.ts';
import type { Problem } from '../problem.ts';

export const framebufferHoldsBar: Problem = {
  id: 'framebuffer-holds-bar',
  title: "The firmware framebuffer (efifb, simplefb, simpledrm, vesafb) still owns the GPU's BAR",
  category: 'bind',
  severity: 'broken',
  at: 'L0',
  says: [
    {
      in: 'kernel',
      re: /vfio-pci [0-9a-f:.]+: BAR \d+: can't reserve \[mem/,
      example: "vfio-pci 0000:c3:00.0: BAR 0: can't reserve [mem 0x2800000000-0x2fffffffff 64bit pref]",
      proof: 'rep',
    },
    {
      in: 'qemu',
      re: /Failed to mmap [0-9a-f:.]+ BAR \d+\. Performance may be slow/,
      example: 'Failed to mmap 0000:01:00.0 BAR 3. Performance may be slow',
      proof: 'src',
    },
    {
      in: 'kernel',
      re: /resource sanity check: requesting \[mem[^\]]*\], which spans more than (BOOTFB|efifb|simple-framebuffer|vesafb)/,
      example:
        'resource sanity check: requesting [mem 0xd0000000-0xdfffffff], which spans more than BOOTFB [mem 0xd1000000-0xd12fffff]',
      proof: 'rep',
    },
    {
      in: 'kernel',
      re: /BAR \d+: can't reserve(?= \[mem)/,
      example: "mpt3sas 0000:04:00.0: BAR 1: can't reserve [mem 0x90000000-0x90003fff 64bit]",
      proof: 'seen',
    },
  ],
  why: 'The boot framebuffer is a separate platform device whose resource lies inside the BAR; unbinding the GPU driver does not free it.',
  see: [
    {
      read: '/proc/iomem',
      when: 'BOOTFB, efifb, simplefb, simpledrm or vesafb nested inside the range of {d}/resource',
      sure: 'certain',
    },
    { read: '{d}/boot_vga', when: '1', sure: 'likely' },
  ],
  fix: [
    'unbind the vtconsoles and the framebuffer platform device before vfio-pci binds',
    'video=efifb:off (kernels up to 5.x), initcall_blacklist=sysfb_init (6.x without built-in simpledrm)',
    'boot with another GPU as primary',
  ],
  beware:
    'From kernels with CONFIG_DRM_SIMPLEDRM=y neither option frees it (a simple-framebuffer device is made earlier); read the actual owner name. Unbinding efifb twice crashes some kernels.',
  sources: [
    'gh:siderolabs/talos#14356',
    'gh:cosminmocan/vfio-single-amdgpu-passthrough#3',
    'gh:joeknock90/Single-GPU-Passthrough#1',
    'gh:joeknock90/Single-GPU-Passthrough#69',
    'gh:kata-containers/kata-containers#10622',
  ],
  rules: [{ about: 'function', asks: 'Has the framebuffer of the firmware let go of its BARs?', run: released }],
};

const FRAMEBUFFER = /^(BOOTFB|efifb|efidrm|vesafb|vesadrm|simplefb|simpledrm|simple-framebuffer.*|ofdrm)$/;

function released(picture: Picture, found: PciFunction): Verdict {
  if (found.class >>> 16 !== 0x03) return notApplicable('it is no display controller');
  const display = { where: at(found, 'boot_vga'), text: found.bootVga === undefined ? 'absent' : found.bootVga ? '1' : '0' };
  if (picture.texts['/proc/iomem'] === undefined)
    return unknown('who has its BARs is in /proc/iomem, which was not read', display);
  const owners = ownersInside(picture).get(found.bdf) ?? [];
  const holding = [...new Set(owners.filter((name) => FRAMEBUFFER.test(name)))];
  const seen = [{ where: '/proc/iomem', text: `${found.bdf}: ${owners.join(', ') || 'nothing inside its resources'}` }, display];
  if (holding.length === 0) return pass('no framebuffer of the firmware is inside its BARs', ...seen);
  return {
    is: 'fail',
    because: `${holding.join(' and ')} ${holding.length === 1 ? 'is' : 'are'} inside its BARs: vfio-pci cannot reserve them`,
    seen,
    ...(holding.some((name) => name.startsWith('simple'))
      ? {
          fix: [
            'boot with another GPU as primary',
            'unbind the framebuffer device before vfio-pci binds; with simpledrm built in, video=efifb:off and initcall_blacklist=sysfb_init do not help',
          ],
        }
      : {}),
  };
}
