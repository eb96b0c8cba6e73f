import type { PciFunction } from '../../host/functions.ts';
import type { Picture } from '../../host/picture.ts';
import { resetWays } from '../../pci/index.ts';
import type { Verdict } from '../check.ts';
import { at, kernelAtLeast, listed, ofEndpoints, pass, unknown } from '../facts.ts';
import { configOf } from '../index-of.ts';
import type { Problem } from '../problem.ts';
import { resetTogether } from '../reset-domain.ts';

export const noResetMethod: Problem = {
  id: 'no-reset-method',
  title: 'The function cannot be reset on its own, so it stays dirty after the guest stops',
  category: 'reset',
  severity: 'broken',
  at: 'L0',
  says: [
    {
      in: 'qemu',
      re: /no available reset\b( mechanism)?/,
      example: 'vfio: Cannot reset device 0000:00:1f.3, no available reset mechanism.',
      proof: 'src',
    },
    {
      in: 'kernel',
      re: /Unsupported reset method '[a-z_]+'/,
      example: "vfio-pci 0000:0f:00.0: Unsupported reset method 'device_specific'",
      proof: 'rep',
    },
    {
      in: 'libvirt',
      re: /Unable to reset PCI device [0-9a-f:.]+: no FLR, PM reset or bus reset available/,
      example: 'internal error: Unable to reset PCI device 0000:01:00.1: no FLR, PM reset or bus reset available',
      proof: 'rep',
    },
  ],
  why: 'No FLR, no AF-FLR, no PM D3hot reset, and a bus reset would hit siblings. Works once after a cold boot.',
  see: [
    { read: '{d}/reset_method', when: 'file missing or empty', sure: 'certain' },
    {
      read: 'PCIe DevCap bit 28 (FLR), AF capability bit FLR, PMCSR NoSoftRst',
      when: 'none usable and bus has siblings',
      sure: 'certain',
    },
  ],
  fix: [
    'assign the whole slot so a bus reset is possible',
    'vendor-specific reset module for listed GPUs',
    'plan a power cycle between uses',
  ],
  beware:
    'From 5.15 the order is a policy; write "device_specific" (or the module\'s own) into reset_method for such modules. The audio function without reset is usually harmless when the GPU\'s bus reset covers it.',
  sources: [
    'gh:ryanprescott/realtek-verb-tools#2',
    'gh:gnif/vendor-reset#29',
    'gh:gnif/vendor-reset#46',
    'qemu:hw/vfio/pci.c',
    'linux:drivers/pci/pci.c pci_reset_fn_methods',
  ],
  rules: [{ about: 'function', asks: 'Can it be reset on its own?', run: ofEndpoints(resettable) }],
};

function resettable(picture: Picture, found: PciFunction): Verdict {
  const where = at(found, 'reset_method');
  if (found.resetMethods !== undefined)
    return pass(`the kernel can reset it: ${found.resetMethods.join(', ')}`, { where, text: found.resetMethods.join(' ') });
  const together = resetTogether(picture, found);
  const others = together.filter(({ bdf }) => bdf !== found.bdf).map(({ bdf }) => bdf);
  const because = `it cannot be reset on its own${others.length === 0 ? '' : `, and a reset of its bus hits ${listed(others)} as well`}`;
  const absent = { where, text: 'absent' };
  // The attribute came with 5.15; since then it is there for what can be reset, and nothing else.
  const shown = kernelAtLeast(picture, 5, 15);
  if (shown === true) return { is: 'fail', because, seen: [absent] };
  const config = configOf(found);
  const ways = config === undefined ? undefined : resetWays(config);
  const read = { where: at(found, 'config'), text: `${config?.length ?? 0} bytes` };
  if (ways === undefined)
    return unknown(
      'this kernel does not show its ways of reset, and its capabilities could not be read: look as root',
      absent,
      read,
    );
  if (ways.length > 0) return pass(`its capabilities offer ${ways.join(', ')}`, absent, { ...read, text: ways.join(' ') });
  if (others.length === 0 && together.length > 0)
    return pass('it is alone on its bus, and a reset of the bus is its own', absent, read);
  if (shown === undefined) return unknown('neither its ways of reset nor the kernel are known', absent, read);
  return { is: 'fail', because, seen: [absent, { ...read, text: 'no FLR, no AF FLR, no reset through D3hot' }] };
}
