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

/**
 * SR-IOV state of one function, or undefined when it is not a PF.
 * Source: `sriov_*` in Linux Documentation/ABI/testing/sysfs-bus-pci.
 * @throws HostError when an attribute is there but is unreadable or not a count
 */
export async function readSriov(host: Host, bdf: string): Promise<Sriov | undefined> {
  const read = async (name: string) => {
    const path = `/sys/bus/pci/devices/${bdf}/sriov_${name}`;
    return parseCount(await host.files.readText(path), path);
  };
  const totalVFs = await read('totalvfs');
  if (totalVFs === undefined) return undefined;
  const [numVFs, firstVFOffset = 0, vfStride = 0, autoprobe = 1] = await Promise.all([
    inTime(read('numvfs')),
    read('offset'),
    read('stride'),
    read('drivers_autoprobe'),
  ]);
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
