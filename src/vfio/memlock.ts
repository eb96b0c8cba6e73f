/** How much memory a QEMU process may have to lock, as a sum that can be shown. */
export interface MemlockNeed<B = number> {
  /** For RLIMIT_MEMLOCK of the process; 0 when nothing is locked. */
  bytes: B;
  /** What adds up to `bytes`. */
  terms: { bytes: number; what: string; because: string }[];
  /** The sum on one line. */
  text: string;
}

/** A guest that libvirt would start, as far as the limit depends on it. */
export interface LockingGuest {
  /** Bytes of guest memory, the most it can have. */
  memory: number;
  /** VFIO devices: PCI functions and mediated devices. */
  devices: number;
  /** Whether the guest has a virtual IOMMU. */
  viommu: boolean;
  /** NVMe disks that QEMU drives itself through VFIO. */
  nvmeDisks?: number;
  /** Networks and disks on vDPA. */
  vdpaDevices?: number;
}

const GIB = 2 ** 30;
const MIB = 2 ** 20;
const KIB = 1024;

/**
 * Bytes of locked memory that QEMU needs for its VFIO devices. The type1 backend of VFIO pins what a container maps and
 * charges it to the process (Linux `drivers/vfio/vfio_iommu_type1.c`, vfio_pin_pages_remote). The 1 GiB above guest memory
 * is the margin libvirt uses as well: firmware, ROMs and video memory are mapped too.
 *
 * Behind a virtual IOMMU each device has an address space, hence a container, of its own: while the guest has translation
 * off, and always when it uses pass-through, each maps all memory, and the kernel charges it each time. An NVMe disk or a
 * vDPA device always has its own. libvirt counts the same (`src/qemu/qemu_domain.c`, qemuDomainGetMemLockLimitBytes).
 */
export function memlockNeed(guest: LockingGuest): MemlockNeed {
  const { memory, devices, viommu, nvmeDisks = 0, vdpaDevices = 0 } = guest;
  if (devices + nvmeDisks + vdpaDevices === 0) return { bytes: 0, terms: [], text: '0 bytes: no VFIO device, nothing is locked' };
  const memoryFor = (times: number, because: string) => ({
    bytes: times * memory,
    what: times === 1 ? `${size(memory)} of guest memory` : `${times} × ${size(memory)} of guest memory`,
    because,
  });
  const terms = [];
  if (devices > 0)
    terms.push(
      viommu
        ? memoryFor(
            devices,
            'behind a virtual IOMMU each device has its own address space, and the kernel charges guest memory once for each',
          )
        : memoryFor(1, 'all devices share one address space that maps all guest memory'),
    );
  if (nvmeDisks > 0) terms.push(memoryFor(nvmeDisks, 'QEMU’s own NVMe driver opens a container for each disk'));
  if (vdpaDevices > 0) terms.push(memoryFor(vdpaDevices, 'each vDPA device pins guest memory for itself'));
  terms.push({ bytes: GIB, what: '1 GiB', because: 'firmware, ROMs and what else is mapped beside guest memory' });
  return sum(terms);
}

/**
 * The same for a pseries guest on KVM, where the tables of the guest's own DMA windows are locked as well, VFIO or not.
 * Source: libvirt `src/qemu/qemu_domain.c`, getPPC64MemLockLimitBytes; PAPR dynamic DMA windows.
 *
 * @param guest.hostBridges PCI host bridges that the guest will have
 * @param guest.maxMemory   bytes to which memory can be grown
 */
export function pseriesMemlockNeed(guest: LockingGuest & { hostBridges: number; maxMemory: number }): MemlockNeed {
  const { memory, hostBridges, maxMemory, devices, nvmeDisks = 0, vdpaDevices = 0 } = guest;
  /** Whole KiB, as libvirt divides. */
  const part = (bytes: number, divisor: number) => Math.floor(bytes / KIB / divisor) * KIB;
  const terms = [
    { bytes: part(maxMemory, 128), what: `${size(maxMemory)} / 128`, because: 'the hash page table of the guest' },
    {
      bytes: hostBridges * 4 * MIB + 8 * MIB,
      what: `${hostBridges} × 4 MiB + 8 MiB`,
      because: 'tables of the 32-bit DMA window of each host bridge',
    },
  ];
  if (devices + nvmeDisks + vdpaDevices > 0) {
    const dynamic = memory + part(memory, 512) * hostBridges + 8 * MIB;
    const fixed = 2 * GIB * hostBridges;
    terms.push(
      fixed > dynamic
        ? {
            bytes: fixed,
            what: `${hostBridges} × 2 GiB`,
            because: 'a DMA window of 2 GiB for each host bridge, which is more than guest memory',
          }
        : {
            bytes: dynamic,
            what: `${size(memory)} of guest memory + ${hostBridges} × ${size(memory)} / 512 + 8 MiB`,
            because: 'guest memory once, and a table for all of it at each host bridge',
          },
    );
  }
  return sum(terms);
}

/**
 * The limit that libvirt sets for a domain: what its owner asked for, or else what it needs.
 *
 * @param domain.hardLimit bytes of `<memtune><hard_limit>`
 * @param domain.locked    whether `<memoryBacking><locked/>` asks that all of QEMU stays in memory
 */
export function memlockLimit(
  domain: { hardLimit?: number; locked: boolean },
  need: () => MemlockNeed,
): MemlockNeed<number | 'unlimited'> {
  const { hardLimit, locked } = domain;
  if (hardLimit !== undefined)
    return {
      bytes: hardLimit,
      terms: [{ bytes: hardLimit, what: size(hardLimit), because: '<hard_limit> says so' }],
      text: `${size(hardLimit)} (${hardLimit} bytes): <hard_limit> says so`,
    };
  if (!locked) return need();
  return {
    bytes: 'unlimited',
    terms: [],
    text: 'unlimited: <locked/> keeps all of QEMU in memory, and nobody knows how much that is',
  };
}

function sum(terms: MemlockNeed['terms']): MemlockNeed {
  const bytes = terms.reduce((total, term) => total + term.bytes, 0);
  return { bytes, terms, text: `${terms.map((term) => term.what).join(' + ')} = ${size(bytes)} (${bytes} bytes)` };
}

function size(bytes: number): string {
  for (const [unit, name] of [
    [GIB, 'GiB'],
    [MIB, 'MiB'],
    [KIB, 'KiB'],
  ] as const)
    if (bytes >= unit && (bytes * 100) % unit === 0) return `${bytes / unit} ${name}`;
  return `${bytes} bytes`;
}
