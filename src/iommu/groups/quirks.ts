import type { Port } from './topology.ts';

/** What a quirk looks at. */
export interface QuirkSubject {
  device?: number;
  port?: Port;
  onRootBus: boolean;
  multifunction: boolean;
  ivrs: boolean;
}

type Ids = readonly (number | readonly [number, number])[];

/** One answer of the kernel that stands above the ACS capability. */
export interface AcsQuirk {
  /** Function in drivers/pci/quirks.c. */
  kernel: string;
  vendor: number;
  /** Device IDs and ranges of them; 'any' for all of the vendor. */
  devices: Ids | 'any';
  /** Ports it is limited to. */
  ports?: readonly Port[];
  /** Names that these devices have in the PCI ID database, for listings without numbers. */
  named?: RegExp;
  /** `spt` reads the control register at another place; undefined says that the quirk does not apply after all. */
  answers: boolean | 'spt' | ((subject: QuirkSubject) => boolean | undefined);
  says: string;
}

const NO_PEER = 'its maker says that its functions do not reach each other';
const LIKE_ACS = 'it isolates as if it had ACS, without the capability';

const range = (first: number, last: number): readonly [number, number] => [first, last];

/** pci_quirk_intel_pch_acs_ids: root ports of Ibex Peak up to Wellsburg. */
const PCH: Ids = [
  range(0x3b42, 0x3b51),
  range(0x1c10, 0x1c1f),
  range(0x1e10, 0x1e1f),
  range(0x8c10, 0x8c1f),
  range(0x9c10, 0x9c1b),
  range(0x9c90, 0x9c9b),
  ...[0x1d10, 0x1d12, 0x1d14, 0x1d16, 0x1d18, 0x1d1a, 0x1d1c, 0x1d1e],
  range(0x8d10, 0x8d1e),
  ...[0x8c90, 0x8c92, 0x8c94, 0x8c96, 0x8c98, 0x8c9a, 0x8c9c, 0x8c9e],
];

/** Network controllers of Intel in pci_dev_acs_enabled: 82598, 82599, X520, X540, 82580, 82576, 82575, I350, 82571, I219. */
const INTEL_NICS: Ids = [
  ...[0x10c6, 0x10db, 0x10dd, 0x10e1, 0x10f1, 0x10f7, 0x10f8, 0x10f9, 0x10fa, 0x10fb, 0x10fc],
  ...[0x1507, 0x1514, 0x151c, 0x1529, 0x152a, 0x154d, 0x154f, 0x1551, 0x1558],
  ...[0x1509, 0x150e, 0x150f, 0x1510, 0x1511, 0x1516, 0x1527],
  ...[0x10c9, 0x10e6, 0x10e7, 0x10e8, 0x150a, 0x150d, 0x1518, 0x1526],
  ...[0x10a7, 0x10a9, 0x10d6],
  ...[0x1521, 0x1522, 0x1523, 0x1524],
  ...[0x105e, 0x105f, 0x1060, 0x10d9],
  ...[0x15b7, 0x15b8],
];

/** NXP LX2xx0 and LX2xx2 root ports. */
const NXP: Ids = [
  range(0x8d80, 0x8d83),
  range(0x8d88, 0x8d8b),
  range(0x8d90, 0x8d93),
  range(0x8d98, 0x8d9b),
  ...[0x8da0, 0x8da1, 0x8da8, 0x8da9, 0x8db0, 0x8db1, 0x8db8, 0x8db9],
];

/** Parts of the AMD southbridge do not reach each other, where an AMD IOMMU is: RR and CR count as on, SV and UF do not apply. */
const amdSouthbridge = ({ multifunction, onRootBus, ivrs }: QuirkSubject) =>
  multifunction && onRootBus && ivrs ? true : undefined;

const within =
  (devices: Ids) =>
  ({ device }: QuirkSubject) =>
    device === undefined ? undefined : includesId(devices, device);

/**
 * Functions that the kernel takes to be isolated, or not, without asking their ACS capability. The first row that answers counts.
 * Source: Linux 6.18 drivers/pci/quirks.c, pci_dev_acs_enabled[]; 6.1 and 6.12 have all but the newest devices of it.
 */
export const ACS_QUIRKS: readonly AcsQuirk[] = [
  {
    kernel: 'pci_quirk_amd_sb_acs',
    vendor: 0x1002,
    devices: [0x4383, 0x4384, 0x4385, 0x4399, 0x439c, 0x439d],
    named: /SBx00 (SMBus|Azalia|PCI to PCI)|SB7x0\/SB8x0\/SB9x0 (IDE|LPC host|USB OHCI2) /,
    answers: amdSouthbridge,
    says: NO_PEER,
  },
  {
    kernel: 'pci_quirk_amd_sb_acs',
    vendor: 0x1022,
    devices: [0x7809, 0x780f],
    named: /FCH (PCI Bridge|USB OHCI Controller)/,
    answers: amdSouthbridge,
    says: NO_PEER,
  },
  {
    kernel: 'pci_quirk_mf_endpoint_acs',
    vendor: 0x1924,
    devices: [0x0903, 0x0923, 0x0a03],
    named: /SFC9[1-2][0-9]0/,
    answers: true,
    says: NO_PEER,
  },
  {
    kernel: 'pci_quirk_mf_endpoint_acs',
    vendor: 0x8086,
    devices: INTEL_NICS,
    named:
      /^(?!.*Virtual Function)(.*(82575|82576|82580|82598EB|82599)|.*I350 |.*X520|.*10 Gigabit BR KX4|82571EB (Gigabit|Dual Port Gigabit Mezzanine)|82571EB\/82571GB.*D0\/D1|Ethernet Connection \(2\) I219)/,
    answers: true,
    says: NO_PEER,
  },
  {
    kernel: 'pci_quirk_rciep_acs',
    vendor: 0x8086,
    devices: 'any',
    ports: ['integratedEndpoint'],
    answers: true,
    says: 'an endpoint of Intel inside the root complex reaches others by translated addresses only (VT-d 5.10 §3.16)',
  },
  { kernel: 'pci_quirk_qcom_rp_acs', vendor: 0x17cb, devices: [0x0400, 0x0401, 0x0115], answers: true, says: LIKE_ACS },
  { kernel: 'pci_quirk_qcom_rp_acs', vendor: 0x1dbf, devices: [0x0401], answers: true, says: LIKE_ACS },
  {
    kernel: 'pci_quirk_intel_pch_acs',
    vendor: 0x8086,
    devices: PCH,
    ports: ['rootPort'],
    named: /^(?!.*Virtual).*(5 Series\/3400|6 Series\/C200|7 Series\/C21\d|8 Series|9 Series|C600\/X79|C610\/X99|Wildcat Point)/,
    answers: true,
    says: 'the kernel turns off its peer decoding at boot, which counts as ACS',
  },
  {
    kernel: 'pci_quirk_intel_spt_pch_acs',
    vendor: 0x8086,
    devices: [range(0xa110, 0xa11f), range(0xa167, 0xa16a), range(0xa290, 0xa29f), range(0xa2e7, 0xa2ee), range(0x9d10, 0x9d1b)],
    ports: ['rootPort'],
    named: /^(?!.*Virtual).*(100 Series\/C230|200 Series PCH|Sunrise Point)/,
    answers: 'spt',
    says: 'its ACS control register is a double word at 8 of the capability, where lspci does not look',
  },
  {
    kernel: 'pci_quirk_mf_endpoint_acs',
    vendor: 0x19a2,
    devices: [0x0710],
    named: /BE3|OneConnect/,
    answers: true,
    says: NO_PEER,
  },
  { kernel: 'pci_quirk_mf_endpoint_acs', vendor: 0x10df, devices: [0x0720], named: /Skyhawk/, answers: true, says: NO_PEER },
  {
    kernel: 'pci_quirk_cavium_acs',
    vendor: 0x177d,
    devices: [range(0xa000, 0xa7ff), 0xaf84, 0xb884],
    ports: ['rootPort'],
    answers: true,
    says: LIKE_ACS,
  },
  { kernel: 'pci_quirk_mf_endpoint_acs', vendor: 0x177d, devices: [0xa026, 0xa059, 0xa060], answers: true, says: NO_PEER },
  { kernel: 'pci_quirk_xgene_acs', vendor: 0x10e8, devices: [0xe004], answers: true, says: LIKE_ACS },
  { kernel: 'pci_quirk_xgene_acs', vendor: 0x1def, devices: [range(0xe005, 0xe00c)], answers: true, says: LIKE_ACS },
  {
    kernel: 'pci_quirk_mf_endpoint_acs',
    vendor: 0x14e4,
    devices: [0x16d7, range(0x1750, 0x1752), range(0x1760, 0x1763)],
    named: /BCM57414 .*RDMA|BCM5750[248]|BCM576\d\d/,
    answers: true,
    says: NO_PEER,
  },
  { kernel: 'pci_quirk_brcm_acs', vendor: 0x14e4, devices: [0xd714], answers: true, says: LIKE_ACS },
  {
    kernel: 'pci_quirk_loongson_acs',
    vendor: 0x0014,
    devices: [0x3c09, 0x3c19, 0x3c29, 0x7a09, 0x7a19, 0x7a29, 0x7a39, 0x7a49, 0x7a59, 0x7a69],
    answers: true,
    says: LIKE_ACS,
  },
  { kernel: 'pci_quirk_al_acs', vendor: 0x1c36, devices: [0x0031], ports: ['rootPort'], answers: true, says: LIKE_ACS },
  { kernel: 'pci_quirk_mf_endpoint_acs', vendor: 0x1d17, devices: [0x3038, 0x3104, 0x9083], answers: true, says: NO_PEER },
  { kernel: 'pci_quirk_nxp_rp_acs', vendor: 0x1957, devices: NXP, answers: true, says: LIKE_ACS },
  {
    kernel: 'pci_quirk_zhaoxin_pcie_ports_acs',
    vendor: 0x1d17,
    devices: 'any',
    ports: ['rootPort', 'downstreamPort'],
    answers: within([range(0x0710, 0x071e), 0x0721, range(0x0723, 0x0752)]),
    says: 'the kernel has a list of the ports of this maker that isolate',
  },
  {
    kernel: 'pci_quirk_wangxun_nic_acs',
    vendor: 0x8088,
    devices: 'any',
    answers: within([range(0x0100, 0x010f), 0x1001, 0x2001, 0x5010, 0x5025, 0x5040, 0x5110, 0x5125, 0x5140]),
    says: 'the kernel has a list of the network controllers of this maker that isolate their functions',
  },
];

/** A function whose DMA carries the requester ID of another function of its bus. */
export interface AliasQuirk {
  kernel: string;
  vendor: number;
  devices: Ids;
  named?: RegExp;
  subsystem?: { vendor: number; devices: readonly number[] };
  /** Devices and functions it may carry, from its own. */
  aliases: (devfn: number) => readonly number[];
}

const functionOfSlot = (fn: number) => (devfn: number) => ((devfn & 7) === fn ? [] : [(devfn & ~7) | fn]);
const slots = Array.from({ length: 32 }, (_, slot) => slot << 3);

/** Source: Linux 6.18 drivers/pci/quirks.c, the users of pci_add_dma_alias(). Switchtec NTB is left out: its aliases are in its memory. */
export const ALIAS_QUIRKS: readonly AliasQuirk[] = [
  {
    kernel: 'quirk_dma_func0_alias',
    vendor: 0x1180,
    devices: [0xe832, 0xe476],
    named: /R5C832|R5U8[36]/,
    aliases: functionOfSlot(0),
  },
  { kernel: 'quirk_dma_func0_alias', vendor: 0x6766, devices: [0x3d40, 0x3d41], aliases: functionOfSlot(0) },
  {
    kernel: 'quirk_dma_func1_alias',
    vendor: 0x1b4b,
    devices: [
      ...[0x9120, 0x9123, 0x9125, 0x9128, 0x9130, 0x9170, 0x9172, 0x917a, 0x9182, 0x9183, 0x91a0],
      ...[0x9215, 0x9220, 0x9230, 0x9235],
    ],
    named: /88SE91(20|23|25|28|30|70|72|82)|88SS9183|88SE912x|88SE92(15|20|30|35)/,
    aliases: functionOfSlot(1),
  },
  {
    kernel: 'quirk_dma_func1_alias',
    vendor: 0x1103,
    devices: [0x0642, 0x0645],
    named: /RocketRAID 64[25]/,
    aliases: functionOfSlot(1),
  },
  { kernel: 'quirk_dma_func1_alias', vendor: 0x197b, devices: [0x2392], named: /JMB388/, aliases: functionOfSlot(1) },
  { kernel: 'quirk_dma_func1_alias', vendor: 0x1c28, devices: [0x0122], named: /M6e|M6E/, aliases: functionOfSlot(1) },
  {
    kernel: 'quirk_fixed_dma_alias',
    vendor: 0x9005,
    devices: [0x0285],
    subsystem: { vendor: 0x9005, devices: [0x02bb, 0x02bc] },
    aliases: () => [0x08],
  },
  { kernel: 'quirk_mic_x200_dma_alias', vendor: 0x8086, devices: [0x2260, 0x2264], aliases: () => [0x80, 0x88, 0x93] },
  {
    kernel: 'quirk_pex_vca_alias',
    vendor: 0x8086,
    devices: [range(0x2954, 0x2956), range(0x2958, 0x295a)],
    aliases: () => slots.flatMap((slot) => [slot, slot + 1, slot + 2, slot + 3, slot + 4]),
  },
  {
    kernel: 'quirk_plx_ntb_dma_alias',
    vendor: 0x10b5,
    devices: [0x87b0, 0x87b1],
    aliases: () => Array.from({ length: 256 }, (_, devfn) => devfn),
  },
];

/** A bridge that does not alias as its capabilities say. */
export interface BridgeQuirk {
  kernel: string;
  vendor: number;
  devices: Ids;
  named?: RegExp;
  /** It is PCI Express to PCI without saying so, or the unit translates below it. */
  is: 'express-to-pci' | 'translation-root';
}

/** Source: Linux 6.18 drivers/pci/quirks.c. */
export const BRIDGE_QUIRKS: readonly BridgeQuirk[] = [
  ...(
    [
      [0x1b21, 0x1080, /ASM108[35]/],
      [0x10e3, 0x8113, /Tsi381|8113/],
      [0x1283, 0x8892, /IT8892/],
      [0x1283, 0x8893, /IT8893/],
      [0x8086, 0x244e, /82801 PCI Bridge/],
    ] as const
  ).map(([vendor, device, named]) => ({
    kernel: 'quirk_use_pcie_bridge_dma_alias',
    vendor,
    devices: [device],
    named,
    is: 'express-to-pci' as const,
  })),
  { kernel: 'quirk_bridge_cavm_thrx2_pcie_root', vendor: 0x14e4, devices: [0x9000, 0x9084], is: 'translation-root' },
];

/**
 * Whether a row is about this function. Undefined when its number is not known and its name does not settle it.
 * A listing without numbers has names, and names of the rows are those of the PCI ID database.
 */
export function rowMatches(
  row: { devices: Ids | 'any'; named?: RegExp },
  { device, name }: { device?: number; name?: string },
): boolean | undefined {
  if (row.devices === 'any') return true;
  if (device !== undefined) return includesId(row.devices, device);
  if (name === undefined) return undefined;
  return row.named?.test(name) ?? false;
}

function includesId(ids: Ids, device: number): boolean {
  return ids.some((one) => (typeof one === 'number' ? one === device : device >= one[0] && device <= one[1]));
}

/** The rows of each vendor. */
export function byVendor<Row extends { vendor: number }>(rows: readonly Row[]): ReadonlyMap<number, readonly Row[]> {
  return new Map(rows.map(({ vendor }) => [vendor, rows.filter((row) => row.vendor === vendor)]));
}
