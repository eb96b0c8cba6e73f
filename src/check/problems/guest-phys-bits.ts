import { bitsEnough } from '../limits/vm-addresses.ts';
import type { Problem } from '../problem.ts';

export const guestPhysBits: Problem = {
  id: 'guest-phys-bits',
  title: 'The guest CPU announces fewer (or more) physical address bits than the window or the IOMMU needs',
  category: 'bar',
  severity: 'broken',
  at: 'L0',
  says: [
    {
      in: 'qemu',
      re: /phys-bits too low \(\d+\)/,
      example: 'Address space limit 0xffffffffff < 0x1fffffffff phys-bits too low (40)',
      proof: 'src',
    },
    {
      in: 'qemu',
      re: /Host physical bits \(\d+\) does not match phys-bits property \(\d+\)/,
      example: 'Host physical bits (39) does not match phys-bits property (40)',
      proof: 'src',
    },
  ],
  why: 'TCG and generic CPU models use 40 bits; a host with 39 real bits cannot back them under EPT; firmware places BARs by the announced number.',
  see: [
    {
      read: '/proc/cpuinfo address sizes (host) and the planned phys-bits',
      when: 'guest > host, or guest < what the BARs need, or guest > (v)IOMMU width',
      sure: 'certain',
    },
  ],
  fix: ['-cpu host,host-phys-bits=on[,host-phys-bits-limit=N]', 'choose N = min(host bits, IOMMU aperture bits)'],
  beware: 'Some AMD parts lose bits to memory encryption (CPUID 0x8000001F EBX 11:6).',
  sources: ['gh:cloud-hypervisor/cloud-hypervisor#8291', 'gh:gnif/LookingGlass#1184', 'gh:tianocore/edk2#9299'],
  rules: [{ about: 'vm', asks: 'Has its processor enough address bits, and no more than the host?', run: bitsEnough }],
};
