import type { Fields } from '../bits/index.ts';
import { bit, bytes, type Entry, entry, field, reserved, reservedBytes, text, u8, u16, u32, u64, viewOf } from '../bits/index.ts';

// Field names and places as the AMD I/O Virtualization Technology (IOMMU) Specification 48882 Rev 3.08 prints them in its chapter 5.

/** The IVRS table between the common header and the first block. */
export const IvrsFields = entry(
  'I/O Virtualization Reporting Structure',
  { source: 'AMD IOMMU 48882 Rev 3.08 chapter 5', bits: 96, offset: 36 },
  {
    EFRSup: bit(0, 'Extended features are told, in blocks of types 11h and 40h'),
    DmaRemapSup: bit(1, 'Firmware asks the system to remap DMA before anything else may do any'),
    RSVD_2: reserved(4, 2),
    /** 010b is 48 bits. */
    GVASize: field(7, 5, 'Guest virtual address size'),
    /** In bits. */
    PASize: field(14, 8, 'Physical address size'),
    /** In bits. */
    VASize: field(21, 15, 'Virtual address size'),
    HtAtsResv: bit(22, 'ATS translations in the HyperTransport range are reserved'),
    RSVD_23: reserved(31, 23),
    RSVD_32: reservedBytes(4, 8),
  },
);

export const BLOCK_TYPES = { ivhd10: 0x10, ivhd11: 0x11, ivmdAll: 0x20, ivmdOne: 0x21, ivmdRange: 0x22, ivhd40: 0x40 } as const;

const head = { Type: u8(0, 'Type', BLOCK_TYPES), Flags: u8(1, 'Flags'), Length: u16(2, 'Length') };

/** What every block starts with. */
export const BlockHeader = entry('IVRS Block Header', { source: 'AMD IOMMU 48882 Rev 3.08 chapter 5', bits: 32 }, head);

const ivhd = {
  ...head,
  DeviceID: u16(4, 'DeviceID of the IOMMU'),
  CapabilityOffset: u16(6, 'Offset of the capability header in the configuration space of the IOMMU'),
  BaseAddress: u64(8, 'IOMMU Base Address'),
  PCISegmentGroup: u16(16, 'PCI Segment Group'),
  IOMMUInfo: u16(18, 'IOMMU Info'),
};

export const Ivhd10 = entry(
  'I/O Virtualization Hardware Definition, type 10h',
  { source: 'AMD IOMMU 48882 Rev 3.08 chapter 5', bits: 24 * 8 },
  { ...ivhd, IOMMUFeatureInfo: u32(20, 'IOMMU Feature Info') },
);

export const Ivhd11 = entry(
  'I/O Virtualization Hardware Definition, types 11h and 40h',
  { source: 'AMD IOMMU 48882 Rev 3.08 chapter 5', bits: 40 * 8 },
  {
    ...ivhd,
    IOMMUAttributes: u32(20, 'IOMMU Attributes'),
    EFRRegisterImage: u64(24, 'Extended Feature Register image'),
    EFRRegisterImage2: u64(32, 'Extended Feature 2 Register image'),
  },
);

/** The flags of an IVHD block. The last two are for type 10h; firmware sets them in the others too. */
export const IvhdFlags = entry(
  'IVHD Flags',
  { source: 'AMD IOMMU 48882 Rev 3.08 chapter 5', bits: 8 },
  {
    HtTunEn: bit(0, 'HyperTransport tunnel'),
    PassPW: bit(1, 'PassPW'),
    ResPassPW: bit(2, 'ResPassPW'),
    Isoc: bit(3, 'isochronous'),
    IotlbSup: bit(4, 'remote IOTLBs (ATS)'),
    Coherent: bit(5, 'coherent table walks'),
    PreFSup: bit(6, 'prefetch'),
    PPRSup: bit(7, 'page requests'),
  },
);

export const IvhdInfo = entry(
  'IOMMU Info',
  { source: 'AMD IOMMU 48882 Rev 3.08 chapter 5', bits: 16 },
  { MSInum: field(4, 0, 'MSI number'), RSVD_5: reserved(7, 5), UnitID: field(12, 8, 'UnitID'), RSVD_13: reserved(15, 13) },
);

export const IvhdFeatures = entry(
  'IOMMU Feature Info, type 10h',
  { source: 'AMD IOMMU 48882 Rev 3.08 chapter 5', bits: 32 },
  {
    XTSup: bit(0, 'x2APIC interrupts'),
    NXSup: bit(1, 'no-execute protection'),
    GTSup: bit(2, 'guest translation'),
    GLXSup: field(4, 3, 'Levels of the guest CR3 table'),
    IASup: bit(5, 'INVALIDATE_IOMMU_ALL'),
    GASup: bit(6, 'guest virtual APIC'),
    HESup: bit(7, 'hardware error registers'),
    PASmax: field(12, 8, 'Maximum PASID'),
    PNCounters: field(16, 13, 'Performance counters of each bank'),
    PNBanks: field(22, 17, 'Banks of performance counters'),
    MsiNumPPR: field(27, 23, 'MSI number of page requests'),
    GATS: field(29, 28, 'Levels of guest tables', { l4: 0, l5: 1, l6: 2 }),
    HATS: field(31, 30, 'Levels of host tables', { l4: 0, l5: 1, l6: 2 }),
  },
);

export const IvhdAttributes = entry(
  'IOMMU Attributes, types 11h and 40h',
  { source: 'AMD IOMMU 48882 Rev 3.08 chapter 5; HATDis: Linux drivers/iommu/amd/amd_iommu_types.h', bits: 32 },
  {
    HATDis: bit(0, 'host address translation is off'),
    RSVD_1: reserved(12, 1),
    PNCounters: field(16, 13, 'Performance counters of each bank'),
    PNBanks: field(22, 17, 'Banks of performance counters'),
    MsiNumPPR: field(27, 23, 'MSI number of page requests'),
    RSVD_28: reserved(31, 28),
  },
);

export const ENTRY_TYPES = {
  pad: 0x00,
  all: 0x01,
  select: 0x02,
  start: 0x03,
  end: 0x04,
  aliasSelect: 0x42,
  aliasStart: 0x43,
  extendedSelect: 0x46,
  extendedStart: 0x47,
  special: 0x48,
  acpi: 0xf0,
} as const;

const device = { Type: u8(0, 'Type', ENTRY_TYPES), DeviceID: u16(1, 'DeviceID'), DTESetting: u8(3, 'DTE Setting') };

/** Types 00h to 04h: padding, all devices, one device, start and end of a range. */
export const DeviceEntry4 = entry('4-byte device entry', { source: 'AMD IOMMU 48882 Rev 3.08 chapter 5', bits: 32 }, device);

/** Types 42h and 43h: devices whose requests carry another ID. */
export const AliasEntry = entry(
  'alias device entry',
  { source: 'AMD IOMMU 48882 Rev 3.08 chapter 5', bits: 64 },
  { ...device, RSVD_32: reserved(39, 32), SourceDeviceID: u16(5, 'Source DeviceID'), RSVD_56: reserved(63, 56) },
);

/** Types 46h and 47h. */
export const ExtendedEntry = entry(
  'extended device entry',
  { source: 'AMD IOMMU 48882 Rev 3.08 chapter 5', bits: 64 },
  { ...device, RSVD_32: reserved(62, 32), AtsDisabled: bit(63, 'ATS requests of the device are blocked') },
);

/** Type 48h: an I/O APIC or HPET, and the ID that its interrupts carry. */
export const SpecialEntry = entry(
  'special device entry',
  { source: 'AMD IOMMU 48882 Rev 3.08 chapter 5', bits: 64 },
  {
    ...device,
    Handle: u8(4, 'APIC ID or HPET number'),
    SourceDeviceID: u16(5, 'Source DeviceID'),
    Variety: u8(7, 'Variety', { ioapic: 1, hpet: 2 }),
  },
);

/** Type F0h, in blocks of type 40h: a device that only ACPI knows. The unique ID follows. */
export const AcpiEntry = entry(
  'ACPI device entry',
  { source: 'AMD IOMMU 48882 Rev 3.08 chapter 5', bits: 22 * 8 },
  {
    ...device,
    HardwareID: text(4, 8, 'Hardware ID'),
    CompatibleID: bytes(12, 8, 'Compatible ID'),
    UIDFormat: u8(20, 'Unique ID Format', { none: 0, integer: 1, string: 2 }),
    UIDLength: u8(21, 'Unique ID Length'),
  },
);

/** What goes into the device table for a device. */
export const DteSetting = entry(
  'DTE Setting',
  { source: 'AMD IOMMU 48882 Rev 3.08 chapter 5', bits: 8 },
  {
    INITPass: bit(0, 'INIT passes'),
    EIntPass: bit(1, 'ExtInt passes'),
    NMIPass: bit(2, 'NMI passes'),
    RSVD_3: reserved(3),
    SysMgt: field(5, 4, 'System management messages'),
    Lint0Pass: bit(6, 'LINT0 passes'),
    Lint1Pass: bit(7, 'LINT1 passes'),
  },
);

export const Ivmd = entry(
  'I/O Virtualization Memory Definition',
  { source: 'AMD IOMMU 48882 Rev 3.08 chapter 5; PCISegmentGroup: Linux 6.12 struct ivmd_header', bits: 32 * 8 },
  {
    ...head,
    DeviceID: u16(4, 'DeviceID'),
    AuxiliaryData: u16(6, 'Auxiliary data: the last DeviceID of a range'),
    PCISegmentGroup: u16(8, 'PCI Segment Group'),
    RSVD_80: reservedBytes(10, 6),
    StartAddress: u64(16, 'IVMD start address'),
    MemoryBlockLength: u64(24, 'IVMD memory block length'),
  },
);

export const IvmdFlags = entry(
  'IVMD Flags',
  { source: 'AMD IOMMU 48882 Rev 3.08 chapter 5', bits: 8 },
  {
    Unity: bit(0, 'mapped one to one'),
    IR: bit(1, 'readable'),
    IW: bit(2, 'writable'),
    ExclusionRange: bit(3, 'left out of translation'),
    RSVD_4: reserved(7, 4),
  },
);

/** The fields of a small number, such as `IvhdFlags` of `flags`. */
export function fieldsOf<F extends Fields>(shape: Entry<F>, value: number): ReturnType<Entry<F>['decode']> {
  return shape.decode(viewOfNumber(shape.bytes, value));
}

/** What the single bits that are set mean, in words. */
export function meaningsOf<F extends Fields>(shape: Entry<F>, value: number): string[] {
  const view = viewOfNumber(shape.bytes, value);
  return shape.fields.filter((one) => one.kind === 'bit' && shape.get[one.name]!(view, 0) === 1).map((one) => one.label);
}

function viewOfNumber(size: number, value: number): DataView {
  const view = viewOf(new Uint8Array(8));
  view.setUint32(0, value, true);
  return new DataView(view.buffer, 0, size);
}
