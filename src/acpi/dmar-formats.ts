import { bit, entry, field, reserved, reservedBytes, u8, u16, u32, u64 } from '../bits/index.ts';

/** The DMAR table between the common header and the first structure. */
export const DmarFields = entry(
  'DMA Remapping Reporting Structure',
  { source: 'VT-d 5.10 §8.1', bits: 12 * 8, offset: 36 },
  {
    /** One less than the bits of a host physical address. */
    HostAddressWidth: u8(0, 'Host Address Width'),
    INTR_REMAP: bit(8, 'Interrupt remapping is supported'),
    X2APIC_OPT_OUT: bit(9, 'Firmware asks to leave x2APIC mode off'),
    DMA_CTRL_PLATFORM_OPT_IN_FLAG: bit(10, 'Firmware restricts its DMA to reserved memory regions'),
    RSVD_11: reserved(15, 11),
    RSVD_16: reservedBytes(2, 10),
  },
);

export const STRUCTURE_TYPES = { DRHD: 0, RMRR: 1, ATSR: 2, RHSA: 3, ANDD: 4, SATC: 5, SIDP: 6 } as const;

/** What every remapping structure starts with. */
export const StructureHeader = entry(
  'Remapping Structure Header',
  { source: 'VT-d 5.10 §8.2', bits: 32 },
  { Type: u16(0, 'Type', STRUCTURE_TYPES), Length: u16(2, 'Length') },
);

export const Drhd = entry(
  'DMA Remapping Hardware Unit Definition',
  { source: 'VT-d 5.10 §8.3', bits: 128 },
  {
    Type: u16(0, 'Type', STRUCTURE_TYPES),
    Length: u16(2, 'Length'),
    INCLUDE_PCI_ALL: bit(32, 'All PCI devices of the segment that no other unit claims'),
    RSVD_33: reserved(39, 33),
    /** The register set has 2^Size pages of 4 KiB. */
    Size: field(43, 40, 'Size'),
    RSVD_44: reserved(47, 44),
    SegmentNumber: u16(6, 'Segment Number'),
    RegisterBaseAddress: u64(8, 'Register Base Address'),
  },
);

export const Rmrr = entry(
  'Reserved Memory Region Reporting',
  { source: 'VT-d 5.10 §8.4', bits: 192 },
  {
    Type: u16(0, 'Type', STRUCTURE_TYPES),
    Length: u16(2, 'Length'),
    RSVD_32: reserved(47, 32),
    SegmentNumber: u16(6, 'Segment Number'),
    BaseAddress: u64(8, 'Reserved Memory Region Base Address'),
    /** Last address of the region. */
    LimitAddress: u64(16, 'Reserved Memory Region Limit Address'),
  },
);

export const Atsr = entry(
  'Root Port ATS Capability Reporting',
  { source: 'VT-d 5.10 §8.5', bits: 64 },
  {
    Type: u16(0, 'Type', STRUCTURE_TYPES),
    Length: u16(2, 'Length'),
    ALL_PORTS: bit(32, 'Every root port of the segment supports ATS'),
    RSVD_33: reserved(47, 33),
    SegmentNumber: u16(6, 'Segment Number'),
  },
);

export const Rhsa = entry(
  'Remapping Hardware Static Affinity',
  { source: 'VT-d 5.10 §8.6', bits: 160 },
  {
    Type: u16(0, 'Type', STRUCTURE_TYPES),
    Length: u16(2, 'Length'),
    RSVD_32: reserved(63, 32),
    RegisterBaseAddress: u64(8, 'Register Base Address'),
    ProximityDomain: u32(16, 'Proximity Domain'),
  },
);

export const Andd = entry(
  'ACPI Name-space Device Declaration',
  { source: 'VT-d 5.10 §8.7', bits: 64 },
  {
    Type: u16(0, 'Type', STRUCTURE_TYPES),
    Length: u16(2, 'Length'),
    RSVD_32: reserved(55, 32),
    ACPIDeviceNumber: u8(7, 'ACPI Device Number'),
  },
);

export const Satc = entry(
  'SoC Integrated Address Translation Cache Reporting',
  { source: 'VT-d 5.10 §8.8', bits: 64 },
  {
    Type: u16(0, 'Type', STRUCTURE_TYPES),
    Length: u16(2, 'Length'),
    ATC_REQUIRED: bit(32, 'The devices work only with their address translation caches on'),
    RSVD_33: reserved(47, 33),
    SegmentNumber: u16(6, 'Segment Number'),
  },
);

export const Sidp = entry(
  'SoC Integrated Device Property Reporting',
  { source: 'VT-d 5.10 §8.9', bits: 64 },
  {
    Type: u16(0, 'Type', STRUCTURE_TYPES),
    Length: u16(2, 'Length'),
    RSVD_32: reserved(47, 32),
    SegmentNumber: u16(6, 'Segment Number'),
  },
);

/** One device, or all that is behind one bridge, before its path of device and function pairs. */
export const ScopeEntry = entry(
  'Device Scope Entry',
  { source: 'VT-d 5.10 §8.3.1', bits: 48 },
  {
    Type: u8(0, 'Type', { endpoint: 1, bridge: 2, ioapic: 3, hpet: 4, acpi: 5 }),
    Length: u8(1, 'Length'),
    REQ_WO_PASID_NESTED_NOTALLOWED: bit(16, 'No nested translation for requests without PASID'),
    REQ_WO_PASID_PWSNP_NOTALLOWED: bit(17, 'No PWSNP for requests without PASID'),
    REQ_WO_PASID_PGSNP_NOTALLOWED: bit(18, 'No PGSNP for requests without PASID'),
    ATC_HARDENED: bit(19, 'The address translation cache is validated'),
    ATC_REQUIRED: bit(20, 'The device needs its address translation cache'),
    RSVD_21: reserved(23, 21),
    RSVD_24: reserved(31, 24),
    EnumerationID: u8(4, 'Enumeration ID'),
    StartBusNumber: u8(5, 'Start Bus Number'),
  },
);
