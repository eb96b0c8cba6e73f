import { barsOf } from '../../pci/index.ts';
import { at, isBridge, notApplicable, pass, unknown } from '../facts.ts';
import { configOf } from '../index-of.ts';
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
      re: /\b[\w-]+ [0-9a-f]{4}:[0-9a-f:.]+: BAR ?[0-5](:| \[mem[^\]]*\]:) (can't assign; no space|(no space for|failed to assign)(?! \[io\b))/,
      example: "pci 0000:41:00.0: BAR 1 [mem size 0x10000000 64bit pref]: can't assign; no space",
      proof: 'rep',
    },
    {
      in: 'kernel',
      re: /can't claim; no compatible bridge window/,
      example: "pci 0000:00:1f.5: BAR 0 [mem 0xfe010000-0xfe010fff]: can't claim; no compatible bridge window",
      proof: 'rep',
    },
    {
      in: 'kernel',
      re: /can't assign(?=; no space)/,
      example: "pci 0000:05:00.0: can't assign; no space",
      proof: 'rep',
    },
    {
      in: 'kernel',
      re: /BAR 1[45](?=: (no space for|failed to assign))|bridge window(?= \[mem size [^\]]*\]: (can't assign; no space|failed to assign))/,
      example: "pcieport 0000:02:01.0: bridge window [mem size 0x00200000 64bit pref]: can't assign; no space",
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
  rules: [
    {
      about: 'function',
      asks: 'Has each of its memory BARs an address?',
      run(_, found) {
        if (isBridge(found)) return notApplicable('a bridge stays with the host');
        if (found.physfn !== undefined) return notApplicable('the BARs of a VF are in the SR-IOV capability of its PF');
        const bars = found.resources.slice(0, 6);
        const config = configOf(found);
        const where = at(found, 'resource');
        if (bars.length === 0) return unknown('its resources could not be read');
        const without = bars.filter(({ space, size, unset, start }) => space === 'memory' && size > 0 && (unset || start === 0));
        // Where the kernel gave up, it cleared the line, and the register still says what it is.
        const cleared =
          config === undefined || config.header.VendorID === 0xffff
            ? []
            : barsOf(config).filter(({ index, space, base }) => space === 'memory' && base === 0 && bars[index]?.size === 0);
        const lost = [
          ...without.map(({ index, size }) => `BAR ${index} of ${size} bytes`),
          ...cleared.map(({ index }) => `BAR ${index}`),
        ];
        if (lost.length > 0)
          return {
            is: 'fail',
            because: `${lost.join(', ')} ${lost.length === 1 ? 'has' : 'have'} no address: the bridges above have no room for it`,
            seen: [
              ...without.map(({ index, size, start }) => ({
                where,
                text: `line ${index}: at 0x${start.toString(16)}, ${size} bytes`,
              })),
              ...cleared.map(({ index }) => ({
                where: at(found, 'config'),
                text: `BAR ${index} is a memory BAR, and its address 0`,
              })),
            ],
          };
        const memory = bars.filter(({ space, size }) => space === 'memory' && size > 0);
        return pass(memory.length === 0 ? 'it has no memory BARs' : `all ${memory.length} memory BARs have an address`, {
          where,
          text:
            memory.map(({ index, start, size }) => `BAR ${index}: 0x${start.toString(16)}, ${size} bytes`).join('; ') || 'none',
        });
      },
    },
  ],
};
