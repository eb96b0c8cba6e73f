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
  0x0000: 'Unclassified device',
  0x0001: 'VGA compatible unclassified device',
  0x0100: 'SCSI storage controller',
  0x0101: 'IDE interface',
  0x0104: 'RAID bus controller',
  0x0106: 'SATA controller',
  0x0107: 'Serial Attached SCSI controller',
  0x0108: 'Non-Volatile memory controller',
  0x0180: 'Mass storage controller',
  0x0200: 'Ethernet controller',
  0x0207: 'InfiniBand controller',
  0x0208: 'Fabric controller',
  0x0280: 'Network controller',
  0x0300: 'VGA compatible controller',
  0x0302: '3D controller',
  0x0380: 'Display controller',
  0x0400: 'Multimedia video controller',
  0x0401: 'Multimedia audio controller',
  0x0403: 'Audio device',
  0x0500: 'RAM memory',
  0x0502: 'CXL memory device',
  0x0580: 'Memory controller',
  0x0600: 'Host bridge',
  0x0601: 'ISA bridge',
  0x0604: 'PCI bridge',
  0x0607: 'CardBus bridge',
  0x0609: 'Semi-transparent PCI-to-PCI bridge',
  0x0680: 'Bridge',
  0x0700: 'Serial controller',
  0x0780: 'Communication controller',
  0x0800: 'PIC',
  0x0805: 'SD host controller',
  0x0806: 'IOMMU',
  0x0807: 'Root complex event collector',
  0x0880: 'System peripheral',
  0x0c00: 'FireWire controller',
  0x0c03: 'USB controller',
  0x0c05: 'SMBus',
  0x0d80: 'Wireless controller',
  0x1000: 'Network and computing encryption device',
  0x1080: 'Encryption controller',
  0x1180: 'Signal processing controller',
  0x1200: 'Processing accelerator',
};

const BASES: { readonly [base: number]: string } = {
  0x00: 'Unclassified device',
  0x01: 'Mass storage controller',
  0x02: 'Network controller',
  0x03: 'Display controller',
  0x04: 'Multimedia controller',
  0x05: 'Memory controller',
  0x06: 'Bridge',
  0x07: 'Communication controller',
  0x08: 'System peripheral',
  0x09: 'Input device controller',
  0x0a: 'Docking station',
  0x0b: 'Processor',
  0x0c: 'Serial bus controller',
  0x0d: 'Wireless controller',
  0x0e: 'Intelligent controller',
  0x0f: 'Satellite communication controller',
  0x10: 'Encryption controller',
  0x11: 'Signal processing controller',
  0x12: 'Processing accelerator',
  0x13: 'Non-essential instrumentation',
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
