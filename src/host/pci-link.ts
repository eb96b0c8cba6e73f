import { viewOf } from '../bits/index.ts';

/** Link of a PCIe function: speeds as `8.0 GT/s PCIe`, widths in lanes. */
export interface PciLink {
  speed: string;
  width: number;
  maxSpeed: string;
  maxWidth: number;
}

/** By the number in Link Status and Link Capabilities; `Unknown` for others. Source: Linux drivers/pci/probe.c, pcie_link_speed. */
const SPEEDS = ['', '2.5 GT/s PCIe', '5.0 GT/s PCIe', '8.0 GT/s PCIe', '16.0 GT/s PCIe', '32.0 GT/s PCIe', '64.0 GT/s PCIe'];
const PCI_EXPRESS = 0x10;
const POWERED_OFF = 0xff;
const INTEGRATED_ENDPOINT = 9;

/**
 * What sysfs prints as current_link_* and max_link_*, from configuration space, where it is anyway: four files less to read for
 * each function. `none` when the function has no link or shows none, as a VF; undefined when the bytes do not tell.
 * Source: PCIe 6.0 §7.5.3.6, §7.5.3.8, §7.5.3.18; Linux drivers/pci/pci.c, pcie_get_speed_cap;
 * drivers/pci/access.c, pcie_cap_has_lnkctl.
 */
export function linkIn(config: Uint8Array): PciLink | 'none' | undefined {
  const at = capabilityAt(config, PCI_EXPRESS);
  if (at === 'none' || at === undefined) return at;
  if (at + 0x3c > config.length) return undefined;
  const view = viewOf(config);
  const flags = view.getUint16(at + 2, true);
  const version = flags & 15;
  // What is part of the root complex has no link, whatever stands in its registers.
  if (((flags >>> 4) & 15) >= INTEGRATED_ENDPOINT) return 'none';
  const capabilities = view.getUint32(at + 0x0c, true);
  const status = view.getUint16(at + 0x12, true);
  const supported = version < 2 ? 0 : (view.getUint32(at + 0x2c, true) >>> 1) & 0x7f;
  // The highest bit of the vector; parts without one have only the two oldest speeds.
  const fastest = supported === 0 ? capabilities & 15 : 32 - Math.clz32(supported);
  const speed = SPEEDS[status & 15];
  const maxSpeed = supported === 0 && fastest > 2 ? undefined : SPEEDS[fastest];
  const width = (status >>> 4) & 63;
  const maxWidth = (capabilities >>> 4) & 63;
  if (width === 0 || maxWidth === 0) return 'none';
  return speed && maxSpeed ? { speed, width, maxSpeed, maxWidth } : undefined;
}

/** Offset of a capability; `none` when the chain ends without it, undefined when it leaves what was read. */
function capabilityAt(config: Uint8Array, id: number): number | 'none' | undefined {
  const status = config[6];
  if (config.length < 256 || status === undefined || config[14] === POWERED_OFF) return undefined;
  if ((status & 0x10) === 0) return 'none';
  let at = (config[(config[14]! & 0x7f) === 2 ? 0x14 : 0x34] ?? 0) & ~3;
  // There is no room for more than 48 of them: a longer chain is a circle.
  for (let steps = 0; steps < 48; steps++) {
    if (at < 0x40) return 'none';
    if (config[at] === id) return at;
    at = (config[at + 1] ?? 0) & ~3;
  }
  return undefined;
}
