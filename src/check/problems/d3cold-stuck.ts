import type { PciFunction } from '../../host/functions.ts';
import type { Picture } from '../../host/picture.ts';
import type { Verdict } from '../check.ts';
import { at, pass, unknown } from '../facts.ts';
import { configOf } from '../index-of.ts';
import type { Problem } from '../problem.ts';

export const d3coldStuck: Problem = {
  id: 'd3cold-stuck',
  title: 'The device does not come back from D3 (all reads return ones)',
  category: 'reset',
  severity: 'broken',
  at: 'L0',
  says: [
    {
      in: 'kernel',
      re: /(Unable|Refused) to change power state\b/,
      example: 'vfio-pci 0000:01:00.0: Unable to change power state from D3cold to D0, device inaccessible',
      proof: 'rep',
    },
    {
      in: 'qemu',
      re: /vfio: Unable to power on device, stuck in D[0-3]/,
      example: 'vfio: Unable to power on device, stuck in D3',
      proof: 'src',
    },
    {
      in: 'qemu',
      re: /pci_irq_handler: Assertion .*irq_num < PCI_NUM_PINS' failed/,
      example: "pci_irq_handler: Assertion `0 <= irq_num && irq_num < PCI_NUM_PINS' failed.",
      proof: 'rep',
    },
    {
      in: 'kernel',
      re: /not ready \d+ms after (resume|FLR|bus reset)/,
      example: 'nvidia 0000:01:00.0: not ready 65535ms after resume; giving up',
      proof: 'rep',
    },
    {
      in: 'libvirt',
      re: /[Uu]nknown PCI header type '?(127|7f|0x7f)\b/,
      example: "internal error: Unknown PCI header type '127' for device '0000:01:00.0'",
      proof: 'rep',
    },
    {
      in: 'kernel',
      re: /invalid power transition \(from D3cold to D3hot\)/,
      example: 'vfio-pci 0000:01:00.0: invalid power transition (from D3cold to D3hot)',
      proof: 'rep',
    },
  ],
  why: 'vfio-pci runtime power management lets an idle device (and the port above) go to D3cold; some GPUs and boards cannot wake it. The config space then reads 0xFF, and QEMU trips over the interrupt pin value.',
  see: [
    { read: '{d}/power_state and {d}/config', when: 'D3cold, or first dword 0xffffffff', sure: 'certain' },
    {
      read: '{d}/d3cold_allowed, {d}/power/control, /sys/module/vfio_pci/parameters/disable_idle_d3',
      when: '1 / auto / N on a device class known to fail (GPUs)',
      sure: 'hint',
    },
  ],
  fix: [
    'disable_idle_d3=1, or per device: d3cold_allowed 0 and power/control on, for the device and the port above',
    'remove the device and rescan',
    'cold power cycle',
  ],
  beware:
    "Setting it globally costs idle power; do it per device. Cisco XRd's host check wants disable_idle_d3=N, so the two recommendations can collide - show it.",
  sources: [
    'gh:kata-containers/kata-containers#11708',
    'gh:gnif/vendor-reset#76',
    'gh:mroboff/vm-curator#63',
    'gh:bryansteiner/gpu-passthrough-tutorial#39',
    'gh:amd/MxGPU-Virtualization#25',
    'ios-xr/xrd-tools:scripts/host-check',
  ],
  rules: [{ about: 'function', asks: 'Does it answer?', run: answers }],
};

function answers(picture: Picture, found: PciFunction): Verdict {
  const config = configOf(found);
  const state = { where: at(found, 'power_state'), text: found.powerState ?? 'absent' };
  if (config === undefined) return unknown('its configuration space could not be read', state);
  // The vendor of a VF reads as ones even when it answers; a header does not.
  if (config.findings.some(({ is }) => is === 'absent'))
    return {
      is: 'fail',
      because: `all of its configuration space reads as ones${found.powerState === undefined ? '' : ` (power state ${found.powerState})`}: it does not come back, or is gone`,
      seen: [{ where: at(found, 'config'), text: 'ff ff ff ff ...' }, state],
    };
  const idle = picture.parameters.vfio_pci?.disable_idle_d3 ?? picture.parameters.vfio_pci_core?.disable_idle_d3;
  const display = found.class >>> 16 === 0x03;
  const seen = [
    state,
    ...(found.d3coldAllowed === undefined ? [] : [{ where: at(found, 'd3cold_allowed'), text: found.d3coldAllowed ? '1' : '0' }]),
    ...(idle === undefined ? [] : [{ where: '/sys/module/vfio_pci/parameters/disable_idle_d3', text: idle }]),
  ];
  if (display && found.driver === 'vfio-pci' && found.d3coldAllowed === true && idle === 'N')
    return pass('it answers; as an idle GPU of vfio-pci it may be sent to D3cold, from which some do not come back', ...seen);
  return pass('it answers', ...seen);
}
