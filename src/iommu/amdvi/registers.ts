import { bit, type Decoded, entry, field, reserved } from '../../bits/entry.ts';
import { registerView } from '../vtd/registers.ts';

// Registers of an AMD-Vi unit that sysfs shows. Fields as the AMD I/O Virtualization Technology (IOMMU) Specification 48882
// Rev 3.08 prints them; those that came later are as the Linux driver has them.

/** The first word of the capability block in the unit's configuration space. */
export const CapabilityHeader = entry(
  'IOMMU Capability Header',
  { source: 'AMD IOMMU 48882 Rev 3.08 chapter 3, capability block', bits: 32, offset: 0x00 },
  {
    /** 0Fh, secure device. */
    CapID: field(7, 0, 'Capability ID'),
    CapPtr: field(15, 8, 'Next capability'),
    /** 011b. */
    CapType: field(18, 16, 'Capability type', { iommu: 3 }),
    CapRev: field(23, 19, 'Capability revision'),
    IotlbSup: bit(24, 'remote IOTLBs (ATS)'),
    HtTunnel: bit(25, 'HyperTransport tunnel translation'),
    NpCache: bit(26, 'entries that are not present are cached'),
    EFRSup: bit(27, 'Extended Feature Register'),
    CapExt: bit(28, 'second register of miscellaneous information'),
    RSVD_29: reserved(31, 29),
  },
);

export const EFR = entry(
  'Extended Feature Register',
  { source: 'AMD IOMMU 48882 Rev 3.08 chapter 3, MMIO offset 0030h', bits: 64, offset: 0x30 },
  {
    PreFSup: bit(0, 'prefetch'),
    PPRSup: bit(1, 'page requests'),
    XTSup: bit(2, 'x2APIC interrupts'),
    NXSup: bit(3, 'no-execute protection'),
    GTSup: bit(4, 'guest translation'),
    GAPPISup: bit(5, 'guest APIC physical processor interrupts'),
    IASup: bit(6, 'INVALIDATE_IOMMU_ALL'),
    GASup: bit(7, 'guest virtual APIC'),
    HESup: bit(8, 'hardware error registers'),
    PCSup: bit(9, 'performance counters'),
    HATS: field(11, 10, 'Levels of host tables', { l4: 0, l5: 1, l6: 2 }),
    GATS: field(13, 12, 'Levels of guest tables', { l4: 0, l5: 1, l6: 2 }),
    /** One less than the levels. */
    GLXSup: field(15, 14, 'Levels of the guest CR3 table'),
    SmiFSup: field(17, 16, 'SMI filter'),
    SmiFRC: field(20, 18, 'SMI filter register count'),
    GAMSup: field(23, 21, 'Guest virtual APIC modes', { none: 0, vapic: 1 }),
    DualPprLogSup: field(25, 24, 'Dual page request log'),
    RSVD_26: reserved(27, 26),
    DualEventLogSup: field(29, 28, 'Dual event log'),
    RSVD_30: reserved(30),
    SATSSup: bit(31, 'secure ATS'),
    /** One less than the bits of a PASID. */
    PASmax: field(36, 32, 'Maximum PASID'),
    USSup: bit(37, 'user and supervisor pages'),
    /** A power of two. */
    DevTblSegSup: field(39, 38, 'Device table segments'),
    PprOvrflwEarlySup: bit(40, 'early warning of a full page request log'),
    PPRAutoRspSup: bit(41, 'automatic answers to page requests'),
    MarcSup: field(43, 42, 'Memory access routing and control'),
    BlkStopMrkSup: bit(44, 'stop marks can be blocked'),
    PerfOptSup: bit(45, 'performance optimization'),
    MsiCapMmioSup: bit(46, 'MSI capability through MMIO'),
    RSVD_47: reserved(47),
    GIoSup: bit(48, 'guest I/O protection'),
    HASup: bit(49, 'accessed bit in host tables'),
    EPHSup: bit(50, 'enhanced page request handling'),
    AttrFWSup: bit(51, 'attributes are forwarded'),
    HDSup: bit(52, 'dirty bit in host tables'),
    V2HDDisSup: bit(53, 'dirty bit of guest tables can be turned off'),
    InvIotlbTypeSup: bit(54, 'typed IOTLB invalidation'),
    /** As the driver has it: FEATURE_VIOMMU. */
    vIommuSup: bit(55, 'hardware vIOMMU'),
    VmGuardIoSup: bit(56, 'VM guard I/O'),
    VmTableSize: field(60, 57, 'VM table size'),
    GAUpdateDisSup: bit(61, 'accessed updates of guest tables can be turned off'),
    ForcePhyDestSup: bit(62, 'remapped interrupts forced to physical mode'),
    SNPSup: bit(63, 'SEV-SNP'),
  },
);

export const EFR2 = entry(
  'Extended Feature 2 Register',
  {
    source: 'AMD IOMMU 48882 Rev 3.08 chapter 3, MMIO offset 01A0h; bits 1 and 4 as in Linux drivers/iommu/amd/amd_iommu_types.h',
    bits: 64,
    offset: 0x1a0,
  },
  {
    RSVD_0: reserved(0),
    SEVSNPIOSup: bit(1, 'SEV trusted I/O'),
    RSVD_2: reserved(2),
    GCR3TRPMode: bit(3, 'guest CR3 table by guest physical address'),
    GAPPIDisSup: bit(4, 'guest APIC physical processor interrupts can be turned off'),
    SNPAVICSup: field(7, 5, 'Guest virtual APIC with SEV-SNP', { none: 0, gam: 1 }),
    /** 1: 2048 for each device instead of 512. */
    NumIntRemapSup: field(9, 8, 'Interrupt remapping entries', { n512: 0, n2048: 1 }),
    RSVD_10: reserved(10),
    HtRangeIgnore: bit(11, 'the HyperTransport range is ordinary memory'),
    RSVD_12: reserved(63, 12),
  },
);

export interface AmdRegisters {
  capability: Decoded<typeof CapabilityHeader>;
  /** All zero when the capability header has EFRSup clear. */
  efr: Decoded<typeof EFR>;
  /** Zero on kernels that do not show it. */
  efr2: Decoded<typeof EFR2>;
}

/**
 * The registers that `/sys/class/iommu/ivhd*\/amd-iommu` shows, in hexadecimal. `features` is EFR alone on old kernels,
 * `EFR2:EFR` on Linux 6.1 and `EFR:EFR2` on 6.12. Which one is EFR is told by the registers themselves: EFR2 has nothing
 * above bit 11, and the EFR of a unit that has an EFR2 has, so it is the greater number.
 *
 * @returns undefined when the texts are not of this form
 */
export function readAmdRegisters(cap: string, features: string): AmdRegisters | undefined {
  if (!/^(0x)?[0-9a-f]{1,8}\s*$/i.test(cap)) return undefined;
  const parts = /^(?:0x)?([0-9a-f]{1,16})(?::(?:0x)?([0-9a-f]{1,16}))?\s*$/i.exec(features);
  if (!parts) return undefined;
  const one = BigInt(`0x${parts[1]}`);
  const other = BigInt(`0x${parts[2] ?? '0'}`);
  const header = new DataView(new ArrayBuffer(4));
  header.setUint32(0, Number.parseInt(cap, 16), true);
  return {
    capability: CapabilityHeader.decode(header),
    efr: EFR.decode(registerView(one > other ? one : other)),
    efr2: EFR2.decode(registerView(one > other ? other : one)),
  };
}

/** What an AMD-Vi unit can do, as far as passthrough goes by it. */
export interface AmdAbilities {
  /** Levels of host tables: each has 9 bits above the 12 of a page, and 6 levels have all 64. */
  hostLevels: number | undefined;
  guestLevels: number | undefined;
  /** Bits of a PASID; 0 without guest translation. */
  pasidBits: number;
  /** The fields that say yes or no, with what they stand for in words. */
  abilities: { what: string; field: string; has: boolean }[];
}

/**
 * Decides nothing by itself: every ability has the field that says so. Interrupt remapping is not among them, as every AMD-Vi
 * unit has it; whether the kernel uses it depends on the I/O APICs that IVRS names.
 */
export function amdAbilities({ capability, efr, efr2 }: AmdRegisters): AmdAbilities {
  const ability = (what: string, field: string, value: number) => ({ what, field, has: value !== 0 });
  return {
    hostLevels: levels(efr.HATS),
    guestLevels: efr.GTSup ? levels(efr.GATS) : undefined,
    pasidBits: efr.GTSup ? efr.PASmax + 1 : 0,
    abilities: [
      ability('device TLBs (ATS)', 'IotlbSup', capability.IotlbSup),
      ability('page requests (PRI)', 'PPRSup', efr.PPRSup),
      ability('guest tables (PASID)', 'GTSup', efr.GTSup),
      ability('nested translation of a guest', 'GIoSup', efr.GTSup & efr.GIoSup & efr2.GCR3TRPMode),
      ability('x2APIC interrupts', 'XTSup', efr.XTSup),
      ability('posted interrupts (guest virtual APIC)', 'GASup', efr.GASup & (efr.GAMSup === 1 ? 1 : 0)),
      ability('dirty tracking in host tables', 'HDSup', efr.HDSup & efr.HASup),
      ability('2048 interrupts for a device', 'NumIntRemapSup', efr2.NumIntRemapSup === 1 ? 1 : 0),
      ability('SEV-SNP', 'SNPSup', efr.SNPSup),
      ability('it caches entries that are not present: a vIOMMU', 'NpCache', capability.NpCache),
    ],
  };
}

/** Undefined for the value that is reserved. */
function levels(code: number): number | undefined {
  return code === 3 ? undefined : 4 + code;
}
