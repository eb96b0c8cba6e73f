import { bit, entry, field, frame, hexField, reserved, u8, u64, wide } from '../bits/entry.ts';
import { extendedHeader } from './capabilities.ts';

/** The eight bytes of an EUI-64, the last one first. */
export const SerialNumber = entry(
  'Device Serial Number Extended Capability',
  { source: 'PCIe 6.0 §7.9.3', bits: 96 },
  { ...extendedHeader, SerialNumber: u64(4, 'Serial Number') },
);

/** Registers of the port; the resources of each VC follow. */
export const VirtualChannel = entry(
  'Virtual Channel Extended Capability',
  { source: 'PCIe 6.0 §7.9.1.1 to §7.9.1.5', bits: 128 },
  {
    ...extendedHeader,
    /** VCs besides VC0. */
    ExtendedVCCount: field(34, 32, 'Extended VC Count'),
    RSVD_35: reserved(35),
    LowPriorityExtendedVCCount: field(38, 36, 'Low Priority Extended VC Count'),
    RSVD_39: reserved(39),
    ReferenceClock: field(41, 40, 'Reference Clock', { '100 ns': 0 }),
    PortArbitrationTableEntrySize: field(43, 42, 'Port Arbitration Table Entry Size', {
      '1 bit': 0,
      '2 bits': 1,
      '4 bits': 2,
      '8 bits': 3,
    }),
    RSVD_44: reserved(63, 44),
    VCArbitrationCapability: hexField(71, 64, 'VC Arbitration Capability'),
    RSVD_72: reserved(87, 72),
    /** In units of 16 bytes; 0 when there is no table. */
    VCArbitrationTableOffset: field(95, 88, 'VC Arbitration Table Offset'),
    LoadVCArbitrationTable: bit(96, 'Load VC Arbitration Table'),
    VCArbitrationSelect: field(99, 97, 'VC Arbitration Select'),
    RSVD_100: reserved(111, 100),
    VCArbitrationTableStatus: bit(112, 'VC Arbitration Table Status'),
    RSVD_113: reserved(127, 113),
  },
);

/** One VC, 12 bytes each from 10h on. */
export const VcResource = entry(
  'VC Resource',
  { source: 'PCIe 6.0 §7.9.1.6 to §7.9.1.8', bits: 96 },
  {
    PortArbitrationCapability: hexField(7, 0, 'Port Arbitration Capability'),
    RSVD_8: reserved(14, 8),
    RejectSnoopTransactions: bit(15, 'Reject Snoop Transactions'),
    /** One less than the slots. */
    MaximumTimeSlots: field(22, 16, 'Maximum Time Slots'),
    RSVD_23: reserved(23),
    PortArbitrationTableOffset: field(31, 24, 'Port Arbitration Table Offset'),
    TCVCMap: hexField(39, 32, 'TC/VC Map'),
    RSVD_40: reserved(47, 40),
    LoadPortArbitrationTable: bit(48, 'Load Port Arbitration Table'),
    PortArbitrationSelect: field(51, 49, 'Port Arbitration Select'),
    RSVD_52: reserved(55, 52),
    VCID: field(58, 56, 'VC ID'),
    RSVD_59: reserved(62, 59),
    VCEnable: bit(63, 'VC Enable'),
    RSVD_64: reserved(79, 64),
    PortArbitrationTableStatus: bit(80, 'Port Arbitration Table Status'),
    VCNegotiationPending: bit(81, 'VC Negotiation Pending'),
    RSVD_82: reserved(95, 82),
  },
);

/** The element itself; its links follow at 10h. */
export const RootComplexLink = entry(
  'Root Complex Link Declaration Extended Capability',
  { source: 'PCIe 6.0 §7.9.8', bits: 64 },
  {
    ...extendedHeader,
    ElementType: field(35, 32, 'Element Type', { 'configuration space': 0, 'egress port': 1, 'internal link': 2 }),
    RSVD_36: reserved(39, 36),
    NumberOfLinkEntries: field(47, 40, 'Number of Link Entries'),
    ComponentID: field(55, 48, 'Component ID'),
    PortNumber: field(63, 56, 'Port Number'),
  },
);

/** 16 bytes each. */
export const RootComplexLinkEntry = entry(
  'Link Entry',
  { source: 'PCIe 6.0 §7.9.8.3', bits: 128 },
  {
    LinkValid: bit(0, 'Link Valid'),
    LinkType: field(1, 1, 'Link Type', { 'memory-mapped': 0, 'configuration space': 1 }),
    AssociateRCRBHeader: bit(2, 'Associate RCRB Header'),
    RSVD_3: reserved(15, 3),
    TargetComponentID: field(23, 16, 'Target Component ID'),
    TargetPortNumber: field(31, 24, 'Target Port Number'),
    RSVD_32: reserved(63, 32),
    LinkAddress: u64(8, 'Link Address'),
  },
);

export const EventCollectorAssociation = entry(
  'Root Complex Event Collector Endpoint Association Extended Capability',
  { source: 'PCIe 6.0 §7.9.10', bits: 64 },
  { ...extendedHeader, AssociationBitmap: hexField(63, 32, 'Association Bitmap for RCiEPs') },
);

/** From version 2 on. */
export const EventCollectorBuses = entry(
  'RCEC Associated Bus Numbers',
  { source: 'PCIe 6.0 §7.9.10.3', bits: 32, offset: 8 },
  {
    RSVD_0: reserved(7, 0),
    RCECNextBus: u8(1, 'RCEC Next Bus'),
    RCECLastBus: u8(2, 'RCEC Last Bus'),
    RSVD_24: reserved(31, 24),
  },
);

export const Multicast = entry(
  'Multicast Extended Capability',
  { source: 'PCIe 6.0 §7.9.11', bits: 320 },
  {
    ...extendedHeader,
    /** One less than the groups. */
    MC_Max_Group: field(37, 32, 'MC_Max_Group'),
    RSVD_38: reserved(39, 38),
    MC_Window_Size_Requested: field(45, 40, 'MC_Window_Size_Requested'),
    RSVD_46: reserved(46),
    MC_ECRC_Regeneration_Supported: bit(47, 'MC_ECRC_Regeneration_Supported'),
    MC_Num_Group: field(53, 48, 'MC_Num_Group'),
    RSVD_54: reserved(62, 54),
    MC_Enable: bit(63, 'MC_Enable'),
    MC_Index_Position: field(69, 64, 'MC_Index_Position'),
    RSVD_70: reserved(75, 70),
    /** Without its low 12 bits. */
    MC_Base_Address: frame(127, 76, 'MC_Base_Address (page)'),
    MC_Receive: u64(0x10, 'MC_Receive'),
    MC_Block_All: u64(0x18, 'MC_Block_All'),
    MC_Block_Untranslated: u64(0x20, 'MC_Block_Untranslated'),
  },
);

/** Of ports with egress: the BAR that replaces the upper bits of a multicast address. */
export const MulticastOverlay = entry(
  'MC_Overlay_BAR',
  { source: 'PCIe 6.0 §7.9.11.8', bits: 64, offset: 0x28 },
  { MC_Overlay_Size: field(5, 0, 'MC_Overlay_Size'), MC_Overlay_BAR: wide(63, 6, 'MC_Overlay_BAR') },
);

/** What the vendor says about its own bytes, which follow. */
export const VendorSpecificExtended = entry(
  'Vendor-Specific Extended Capability',
  { source: 'PCIe 6.0 §7.9.5', bits: 64 },
  {
    ...extendedHeader,
    VSECID: hexField(47, 32, 'VSEC ID'),
    VSECRev: field(51, 48, 'VSEC Rev'),
    /** Bytes, the two headers included. */
    VSECLength: field(63, 52, 'VSEC Length'),
  },
);

export const Dvsec = entry(
  'Designated Vendor-Specific Extended Capability',
  { source: 'PCIe 6.0 §7.9.6', bits: 80 },
  {
    ...extendedHeader,
    DVSECVendorID: hexField(47, 32, 'DVSEC Vendor ID'),
    DVSECRevision: field(51, 48, 'DVSEC Revision'),
    /** Bytes, the headers included. */
    DVSECLength: field(63, 52, 'DVSEC Length'),
    DVSECID: hexField(79, 64, 'DVSEC ID'),
  },
);

/** Vendor of the DVSECs that Compute Express Link defines. CXL 3.1 §8.1.1. */
export const CXL_VENDOR = 0x1e98;

/** CXL 3.1 Table 8-2, by DVSEC ID. */
export const CXL_DVSECS: { readonly [id: number]: string } = {
  0x0: 'CXL device',
  0x2: 'Non-CXL function map',
  0x3: 'CXL extensions for ports',
  0x4: 'GPF for CXL ports',
  0x5: 'GPF for CXL devices',
  0x7: 'CXL Flex Bus port',
  0x8: 'CXL register locator',
  0x9: 'CXL multi-logical device',
  0xa: 'CXL test capability',
};

export const DataObjectExchange = entry(
  'Data Object Exchange Extended Capability',
  { source: 'PCIe 6.0 §7.9.24', bits: 192 },
  {
    ...extendedHeader,
    InterruptSupport: bit(32, 'DOE Interrupt Support'),
    InterruptMessageNumber: field(43, 33, 'DOE Interrupt Message Number'),
    RSVD_44: reserved(63, 44),
    Abort: bit(64, 'DOE Abort'),
    InterruptEnable: bit(65, 'DOE Interrupt Enable'),
    RSVD_66: reserved(94, 66),
    Go: bit(95, 'DOE Go'),
    Busy: bit(96, 'DOE Busy'),
    InterruptStatus: bit(97, 'DOE Interrupt Status'),
    Error: bit(98, 'DOE Error'),
    RSVD_99: reserved(126, 99),
    DataObjectReady: bit(127, 'Data Object Ready'),
    WriteDataMailbox: hexField(159, 128, 'DOE Write Data Mailbox'),
    ReadDataMailbox: hexField(191, 160, 'DOE Read Data Mailbox'),
  },
);
