import type { PciFunction } from '../../host/functions.ts';
import type { Picture } from '../../host/picture.ts';
import { decodeBars, sriovOf, windowsOf } from '../../pci/index.ts';
import type { Evidence } from '../check.ts';
import { at, notApplicable, pass, unknown } from '../facts.ts';
import { configOf } from '../index-of.ts';
import type { Problem } from '../problem.ts';
import { bridgeAbove } from '../sriov.ts';

export const sriovMmioExhausted: Problem = {
  id: 'sriov-mmio-exhausted',
  title: 'Firmware left no MMIO space for the VF BARs',
  category: 'sriov',
  severity: 'blocker',
  at: 'any',
  says: [
    {
      in: 'kernel',
      re: /not enough MMIO resources for SR-IOV/,
      example: 'i915 0000:00:02.0: not enough MMIO resources for SR-IOV',
      proof: 'src',
    },
    {
      in: 'kernel',
      re: /SR-IOV: IOV BARS not allocated/,
      example: 'igb 0000:01:00.0: SR-IOV: IOV BARS not allocated',
      proof: 'src',
    },
    {
      in: 'write',
      re: /sriov_numvfs: cannot allocate memory|write error: Cannot allocate memory/,
      example: 'write /sys/bus/pci/devices/0000:3b:00.1/sriov_numvfs: cannot allocate memory',
      proof: 'rep',
    },
    {
      in: 'kernel',
      re: /VF BAR ?\d+ ?(: (no space for|failed to assign|can't assign; no space)|\[mem[^\]]*\]: (no space|failed to assign|can't assign; no space))/,
      example: "pci 0000:04:00.0: VF BAR 2 [mem size 0x00400000 64bit]: can't assign; no space",
      proof: 'rep',
    },
    {
      in: 'kernel',
      re: /BAR ?([7-9]|1[0-2]): (no space for|failed to assign)/,
      example: 'pci 0000:5e:00.0: BAR 9: no space for [mem size 0x01000000 64bit]',
      proof: 'rep',
    },
  ],
  why: "Space of VF-BAR-size x TotalVFs must be assigned to each VF BAR in the PF's SR-IOV capability when the bus is enumerated - for TotalVFs, not for the number you want.",
  see: [
    { read: '{d}/resource lines 7-12 (IOV resources)', when: 'a VF BAR with non-zero flags has start 0', sure: 'certain' },
    { read: '/proc/iomem window of the port above', when: 'smaller than the sum', sure: 'likely' },
  ],
  fix: [
    'SR-IOV and Above-4G in firmware',
    'pci=realloc (and on some boards pci=realloc,assign-busses)',
    'fewer TotalVFs in device firmware',
    'another slot',
  ],
  beware:
    'ENOMEM here has nothing to do with RAM. For an SR-IOV PF emulated in a guest, the guest firmware/bridge window must hold it as well.',
  sources: [
    'gh:strongtz/i915-sriov-dkms#129',
    'gh:strongtz/i915-sriov-dkms#246',
    'gh:openshift/openshift-docs#32619',
    'gh:microsoft/openvmm#3608',
    'linux:drivers/pci/iov.c',
  ],
  rules: [
    {
      about: 'function',
      asks: 'Is there room for the BARs of all its VFs?',
      run(picture, found) {
        if (found.sriov === undefined) return notApplicable('it is no PF');
        const config = configOf(found);
        const sriov = config === undefined ? undefined : sriovOf(config);
        if (sriov?.TotalVFs === 0 || (sriov === undefined && found.sriov.totalVFs === 0))
          return notApplicable('it can have no VFs');
        const lines = found.resources.slice(VF_BARS, VF_BARS + 6);
        if (lines.length === 0) return unknown('its resources could not be read');
        const bars = lines.filter(({ size }) => size > 0);
        const registers =
          sriov === undefined
            ? []
            : decodeBars([sriov.VFBAR0, sriov.VFBAR1, sriov.VFBAR2, sriov.VFBAR3, sriov.VFBAR4, sriov.VFBAR5]);
        const lost = [
          ...bars
            .filter(({ unset, start }) => unset || start === 0)
            .map(({ index, size }) => `VF BAR ${index - VF_BARS} (${size} bytes)`),
          // Where the kernel gave up, it cleared the line, and the register still says what it is.
          ...registers.filter(({ index }) => lines[index]?.size === 0).map(({ index }) => `VF BAR ${index}`),
        ];
        const total = sriov?.TotalVFs ?? found.sriov.totalVFs;
        const seen = [
          ...lines
            .filter(({ index, size }) => size > 0 || registers.some((bar) => bar.index === index - VF_BARS))
            .map(({ index, start, size }) => ({
              where: at(found, 'resource'),
              text: `line ${index}: 0x${start.toString(16)}, ${size} bytes = ${total} VFs × ${Math.floor(size / total)}`,
            })),
          ...windowAbove(picture, found),
        ];
        if (lost.length > 0)
          return {
            is: 'fail',
            because: `${lost.join(', ')} of ${total} VFs ${lost.length === 1 ? 'has' : 'have'} no address: a write to sriov_numvfs gives ENOMEM, for want of addresses and not of memory`,
            seen,
          };
        if (bars.length === 0)
          return sriov === undefined
            ? unknown('no VF BAR has an address, and whether it has any is in its SR-IOV capability, which needs root', ...seen)
            : unknown('no VF BAR shows: its VFs have none, or firmware left them out', ...seen);
        const sum = bars.reduce((bytes, { size }) => bytes + size, 0);
        return pass(`${sum} bytes are reserved for the BARs of ${total} VFs`, ...seen);
      },
    },
  ],
};

/** First line of `resource` for a VF BAR. Linux include/linux/pci.h PCI_IOV_RESOURCES. */
const VF_BARS = 7;

function windowAbove(picture: Picture, found: PciFunction): Evidence[] {
  const above = bridgeAbove(picture, found);
  const config = above === undefined ? undefined : configOf(above);
  if (above === undefined || config === undefined) return [];
  return windowsOf(config)
    .filter(({ space, base, limit }) => space !== 'io' && limit > base && limit > 0)
    .map(({ space, base, limit }) => ({
      where: at(above, 'config'),
      text: `${space} window 0x${base.toString(16)} to 0x${limit.toString(16)}, ${limit - base + 1} bytes`,
    }));
}
