import { type Host, HostError } from './host.ts';
import { parseCount } from './parse.ts';

/**
 * SR-IOV state of a PF. Offset and stride are steps of routing ID and may change with NumVFs.
 * `numVFs` is undefined when the kernel did not answer in time: writing 0 while a VF is in use blocks its readers too.
 */
export interface Sriov {
  totalVFs: number;
  numVFs: number | undefined;
  firstVFOffset: number;
  vfStride: number;
  driversAutoprobe: boolean;
}

/** The attributes, in the order of `sriovOf`. */
export const SRIOV = ['sriov_totalvfs', 'sriov_numvfs', 'sriov_offset', 'sriov_stride', 'sriov_drivers_autoprobe'] as const;

/**
 * SR-IOV state of one function, or undefined when it is not a PF.
 * Source: `sriov_*` in Linux Documentation/ABI/testing/sysfs-bus-pci.
 * @throws HostError when an attribute is there but is unreadable or not a count
 */
export async function readSriov(host: Host, bdf: string): Promise<Sriov | undefined> {
  const at = `/sys/bus/pci/devices/${bdf}`;
  const [total, ...others] = SRIOV.map((name) => `${at}/${name}`);
  const totalVFs = await host.files.readText(total!);
  if (totalVFs === undefined) return undefined;
  const [numVFs, ...steps] = others.map((path) => host.files.readText(path));
  return sriovOf(at, [totalVFs, await inTime(numVFs!), ...(await Promise.all(steps))]);
}

/**
 * The same from the texts of the attributes.
 * @param at the folder they are from, for errors
 * @throws HostError when one is not a count
 */
export function sriovOf(at: string, texts: readonly (string | undefined)[]): Sriov | undefined {
  // Nearly all functions are none, and there are many of them.
  if (texts[0] === undefined) return undefined;
  const [totalVFs, numVFs, firstVFOffset = 0, vfStride = 0, autoprobe = 1] = texts.map((text, i) =>
    parseCount(text, `${at}/${SRIOV[i]}`),
  );
  if (totalVFs === undefined) return undefined;
  return { totalVFs, numVFs, firstVFOffset, vfStride, driversAutoprobe: autoprobe !== 0 };
}

/** What is read, or undefined when the kernel did not answer in time: its reader waits for the lock of the device. */
export async function inTime<T>(reading: Promise<T>, otherwise: () => void = () => {}): Promise<T | undefined> {
  try {
    return await reading;
  } catch (error) {
    if (!(error instanceof HostError && error.errno === 'ETIMEDOUT')) throw error;
    otherwise();
    return undefined;
  }
}
