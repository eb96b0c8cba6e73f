/** How much memory a QEMU process may have to lock, as a sum that can be shown. */
export interface MemlockNeed {
  /** For RLIMIT_MEMLOCK of the process; 0 when nothing is locked. */
  bytes: number;
  /** What adds up to `bytes`. */
  terms: { bytes: number; what: string; because: string }[];
  /** The sum on one line. */
  text: string;
}

const GIB = 2 ** 30;

/**
 * Bytes of locked memory that QEMU needs for its VFIO devices. The type1 backend of VFIO pins what a container maps and
 * charges it to the process (Linux `drivers/vfio/vfio_iommu_type1.c`, vfio_pin_pages_remote). The 1 GiB above guest memory
 * is the margin libvirt uses as well: firmware, ROMs and video memory are mapped too.
 *
 * @param guest.memory  bytes of guest memory, the most it can have
 * @param guest.devices number of VFIO devices
 * @param guest.viommu  whether the guest has a virtual IOMMU. Each device then has an address space, hence a container, of
 *   its own: while the guest has translation off, and always when it uses pass-through, each maps all memory, and the
 *   kernel charges it each time
 */
export function memlockNeed(guest: { memory: number; devices: number; viommu: boolean }): MemlockNeed {
  const { memory, devices, viommu } = guest;
  if (devices === 0) return { bytes: 0, terms: [], text: '0 bytes: no VFIO device, nothing is locked' };
  const times = viommu ? devices : 1;
  const terms = [
    {
      bytes: times * memory,
      what: times === 1 ? `${size(memory)} of guest memory` : `${times} × ${size(memory)} of guest memory`,
      because: viommu
        ? 'behind a virtual IOMMU each device has its own address space, and the kernel charges guest memory once for each'
        : 'all devices share one address space that maps all guest memory',
    },
    { bytes: GIB, what: '1 GiB', because: 'firmware, ROMs and what else is mapped beside guest memory' },
  ];
  const bytes = terms.reduce((sum, term) => sum + term.bytes, 0);
  return { bytes, terms, text: `${terms.map((term) => term.what).join(' + ')} = ${size(bytes)} (${bytes} bytes)` };
}

function size(bytes: number): string {
  for (const [unit, name] of [
    [GIB, 'GiB'],
    [2 ** 20, 'MiB'],
    [1024, 'KiB'],
  ] as const)
    if (bytes >= unit && (bytes * 100) % unit === 0) return `${bytes / unit} ${name}`;
  return `${bytes} bytes`;
}
