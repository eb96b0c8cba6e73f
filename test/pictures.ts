import type { PciFunction } from '../src/host/functions.ts';
import type { Picture } from '../src/host/picture.ts';

/** The function that most tests are about. */
export const BDF = '0000:01:00.0';

/** A function of group 1 on the root bus. */
export function fn(bdf: string, more: Partial<PciFunction> = {}): PciFunction {
  const path = `/sys/devices/pci0000:00/${bdf}`;
  return {
    bdf,
    vendor: 0x8086,
    device: 1,
    class: 0x020000,
    path,
    headerType: 0,
    group: 1,
    unit: 'dmar0',
    virtfns: [],
    interfaces: [],
    nvme: [],
    resources: [],
    vfioDevices: [],
    ...more,
  };
}

/** A host where one function can be given away; `more` says what is otherwise. */
export function pictureOf(more: Partial<Picture> = {}, cmdline = 'intel_iommu=on'): Picture {
  const functions = more.functions ?? [fn(BDF)];
  return {
    host: 'made up',
    system: { kernel: '6.12', cmdline, bootId: '1', uid: 0, guest: false, memory: 2 ** 30, modules: [] },
    firmwareTables: [],
    platformTables: [],
    units: [{ name: 'dmar0', devices: [BDF], cap: '00d2008c222f0686', ecap: '0000000000f00f4a' }],
    groups: [{ number: 1, type: 'DMA', devices: functions.map(({ bdf }) => bdf), reserved: [] }],
    functions,
    links: [],
    nvme: {},
    usage: [],
    kvm: { usable: false, because: '' },
    texts: {},
    folders: {},
    parameters: {},
    unread: [],
    ...more,
  };
}
