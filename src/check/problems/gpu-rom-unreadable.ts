import type { PciFunction } from '../../host/functions.ts';
import type { Verdict } from '../check.ts';
import { at, notApplicable, pass } from '../facts.ts';
import type { Problem } from '../problem.ts';

export const gpuRomUnreadable: Problem = {
  id: 'gpu-rom-unreadable',
  title: 'The option ROM cannot be read (shadowed or modified boot ROM)',
  category: 'guest',
  severity: 'broken',
  at: 'L0',
  says: [
    {
      in: 'kernel',
      re: /Invalid PCI ROM header signature: expecting 0xaa55, got 0x[0-9a-f]+/,
      example: 'vfio-pci 0000:01:00.0: Invalid PCI ROM header signature: expecting 0xaa55, got 0xffff',
      proof: 'rep',
    },
    {
      in: 'qemu',
      re: /Rom loading for device at \S+ has been disabled due to system instability issues/,
      example: 'Rom loading for device at 0000:01:00.0 has been disabled due to system instability issues',
      proof: 'src',
    },
    {
      in: 'qemu',
      re: /Cannot read device rom at|Device option ROM contents are probably invalid/,
      example: 'vfio-pci: Cannot read device rom at 0000:01:00.0',
      proof: 'src',
    },
  ],
  why: "The boot GPU's ROM is shadowed at 0xC0000 and the BAR reads garbage after initialisation.",
  see: [{ read: '{d}/rom (write 1, read, write 0) first two bytes', when: 'not 55 AA', sure: 'certain' }],
  fix: ['dump the ROM with the card as secondary', 'romfile=', 'rombar=0 when no ROM is needed'],
  beware: 'Never read {d}/rom of a device in use by a VM.',
  sources: ['gh:patmagauran/i915ovmfPkg#16', 'gh:joeknock90/Single-GPU-Passthrough#5', 'qemu:hw/vfio/pci.c'],
  rules: [
    {
      about: 'function',
      asks: "Is the option ROM that a guest would see the card's own?",
      run: (_, found) => ownRom(found),
    },
  ],
};

/** Where firmware puts the ROM of the boot display. The kernel then shows this copy as the ROM of the function (pci_fixup_video). */
const SHADOW = 0xc0000;
const ROM = 6;

function ownRom(found: PciFunction): Verdict {
  if (found.class >>> 16 !== 0x03) return notApplicable('it is no display controller');
  const rom = found.resources.find(({ index }) => index === ROM);
  if (rom === undefined || rom.size === 0) return notApplicable('it has no ROM BAR');
  const seen = [
    { where: at(found, 'resource'), text: `ROM at 0x${rom.start.toString(16)}, ${rom.size} bytes` },
    { where: at(found, 'boot_vga'), text: found.bootVga === undefined ? 'absent' : found.bootVga ? '1' : '0' },
  ];
  if (rom.start !== SHADOW)
    return pass('its ROM BAR is its own; whether it can be read shows only when it is turned on', ...seen);
  return {
    is: 'fail',
    because: 'what is shown as its ROM is the copy at 0xc0000 that the firmware ran and may have changed',
    seen,
    fix: [
      'romfile= with a dump taken while another card was the boot display',
      'rombar=0 when no ROM is needed',
      'boot with another GPU as primary',
    ],
  };
}
