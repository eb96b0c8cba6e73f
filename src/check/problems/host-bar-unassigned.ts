import type { Problem } from '../problem.ts';

export const hostBarUnassigned: Problem = {
  id: 'host-bar-unassigned',
  title: 'A BAR of the device has no address on the host (no window space, hot-plug bridge without prefetchable window)',
  category: 'bar',
  severity: 'blocker',
  at: 'L0',
  says: [
    {
      in: 'kernel',
      re: /pci [0-9a-f:.]+: BAR ?\d+(:| \[mem[^\]]*\]:) (no space for|failed to assign|can't assign; no space)/,
      example: "pci 0000:41:00.0: BAR 1 [mem size 0x10000000 64bit pref]: can't assign; no space",
      proof: 'rep',
    },
    {
      in: 'kernel',
      re: /can't claim; no compatible bridge window/,
      example: "pci 0000:00:1f.5: BAR 0 [mem 0xfe010000-0xfe010fff]: can't claim; no compatible bridge window",
      proof: 'rep',
    },
  ],
  why: 'Firmware gave the port too small a window; Above-4G decoding off; Thunderbolt/USB4 hot-plug reserves little.',
  see: [{ read: '{d}/resource lines 0-5 and 7-12', when: 'flags non-zero and start 0 with non-zero size', sure: 'certain' }],
  fix: [
    'Above 4G decoding / Resizable BAR in firmware',
    'pci=realloc',
    'pci=hpmmioprefsize=<size> for hot-plug ports',
    'plug before boot',
  ],
  beware:
    'pci=nocrs can place a BAR over something else. Behind Thunderbolt the device is also untrusted (see untrusted-device).',
  sources: [
    'gh:t2linux/T2-Debian-and-Ubuntu-Kernel#189',
    'gh:minisforum-docs/MS-02-Ultra#32',
    'gh:tenstorrent/tt-kmd#195',
    'gh:strongtz/i915-sriov-dkms#339',
  ],
  rules: [],
};
