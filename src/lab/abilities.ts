import { LabError } from './errors.ts';
import { exec } from './exec.ts';
import type { Abilities } from './store.ts';

/** Devices whose presence and properties decide how L1 looks. */
export const PROBED_DEVICES: readonly string[] = [
  'igb',
  'nvme',
  'nvme-subsys',
  'nvme-ns',
  'intel-iommu',
  'virtio-9p-pci',
  'virtio-serial-pci',
  'pcie-root-port',
];

/** Property names in the answer to `-device X,help`. */
export function parseDeviceHelp(text: string): string[] {
  return [...text.matchAll(/^ {2}([^\s=]+)=</gm)].map(([, name]) => name as string);
}

/** Asks a QEMU what it has. @throws LabError when it does not start */
export async function probeAbilities(qemu: string): Promise<Abilities> {
  const version = await exec(qemu, ['--version'], { timeout: 60_000 });
  if (version.code !== 0) throw new LabError(`the unpacked QEMU does not start: ${version.stderr.trim().split('\n')[0]}`);
  const devices: Record<string, string[]> = {};
  for (const name of PROBED_DEVICES) {
    const help = await exec(qemu, ['-device', `${name},help`], { timeout: 60_000 });
    // For a device that it lacks QEMU complains and still ends with 0.
    const properties = parseDeviceHelp(help.stdout);
    if (properties.length > 0) devices[name] = properties;
  }
  return { version: version.stdout.split('\n')[0] ?? '', devices };
}
