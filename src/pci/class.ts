/** What a function is for, as far as passing it through is concerned. */
export type ClassKind =
  | 'network'
  | 'nvme'
  | 'storage'
  | 'display'
  | 'audio'
  | 'usb'
  | 'host-bridge'
  | 'isa-bridge'
  | 'pci-bridge'
  | 'bridge'
  | 'accelerator'
  | 'other';

/** Base class and subclass. PCI Code and ID Assignment 1.14 §1. */
const NAMES: { readonly [code: number]: string } = {
  0: 'Unclassified device',
  1: 'VGA compatible unclassified device',
  256: 'SCSI storage controller',
  257: 'IDE interface',
  260: 'RAID bus controller',
  262: 'SATA controller',
  263: 'Serial Attached SCSI controller',
  264: 'Non-Volatile memory controller',
  384: 'Mass storage controller',
  512: 'Ethernet controller',
  519: 'InfiniBand controller',
  520: 'Fabric controller',
  640: 'Network controller',
  768: 'VGA compatible controller',
  770: '3D controller',
  896: 'Display controller',
  1024: 'Multimedia video controller',
  1025: 'Multimedia audio controller',
  1027: 'Audio device',
  1280: 'RAM memory',
  1282: 'CXL memory device',
  1408: 'Memory controller',
  1536: 'Host bridge',
  1537: 'ISA bridge',
  1540: 'PCI bridge',
  1543: 'CardBus bridge',
  1545: 'Semi-transparent PCI-to-PCI bridge',
  1664: 'Bridge',
  1792: 'Serial controller',
  1920: 'Communication controller',
  2048: 'PIC',
  2053: 'SD host controller',
  2054: 'IOMMU',
  2055: 'Root complex event collector',
  2176: 'System peripheral',
  3072: 'FireWire controller',
  3075: 'USB controller',
  3077: 'SMBus',
  3456: 'Wireless controller',
  4096: 'Network and computing encryption device',
  4224: 'Encryption controller',
  4480: 'Signal processing controller',
  4608: 'Processing accelerator',
};

const BASES: { readonly [base: number]: string } = {
  0: 'Unclassified device',
  1: 'Mass storage controller',
  2: 'Network controller',
  3: 'Display controller',
  4: 'Multimedia controller',
  5: 'Memory controller',
  6: 'Bridge',
  7: 'Communication controller',
  8: 'System peripheral',
  9: 'Input device controller',
  10: 'Docking station',
  11: 'Processor',
  12: 'Serial bus controller',
  13: 'Wireless controller',
  14: 'Intelligent controller',
  15: 'Satellite communication controller',
  16: 'Encryption controller',
  17: 'Signal processing controller',
  18: 'Processing accelerator',
  19: 'Non-essential instrumentation',
};

/** Words for a 24-bit class code, by its subclass, else by its base class, else its number. */
export function className(classCode: number): string {
  return NAMES[classCode >> 8] ?? BASES[classCode >> 16] ?? `class ${(classCode >> 8).toString(16).padStart(4, '0')}`;
}

/** @param classCode 24 bits: class, subclass, programming interface */
export function classKind(classCode: number): ClassKind {
  if (classCode === 0x010802) return 'nvme';
  switch (classCode >> 8) {
    case 0x0403:
    case 0x0401:
      return 'audio';
    case 0x0600:
      return 'host-bridge';
    case 0x0601:
      return 'isa-bridge';
    case 0x0604:
    case 0x0609:
      return 'pci-bridge';
    case 0x0c03:
      return 'usb';
    default:
  }
  switch (classCode >> 16) {
    case 0x01:
      return 'storage';
    case 0x02:
      return 'network';
    case 0x03:
      return 'display';
    case 0x06:
      return 'bridge';
    case 0x12:
      return 'accelerator';
    default:
      return 'other';
  }
}
