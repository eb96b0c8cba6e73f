import {
  type HexDump,
  type ListedCapability,
  type ListedFunction,
  type Listing,
  listedCapability,
  listedFlags,
  parseBdf,
} from '../../pci/index.ts';
import { functionOf, withVfs } from './from-config.ts';
import { ACS, type AcsRegisters, type Port, type Topology, type TopologyFunction, type VfFacts } from './topology.ts';
import { behindVmd } from './vmd.ts';

/** Port types in the words of lspci. pciutils 3.15 ls-caps.c. */
const PORTS: readonly (readonly [RegExp, Port])[] = [
  [/^Root Port/, 'rootPort'],
  [/^Upstream Port/, 'upstreamPort'],
  [/^Downstream Port/, 'downstreamPort'],
  [/^Legacy Endpoint/, 'legacyEndpoint'],
  [/^Endpoint/, 'endpoint'],
  [/^PCI-Express to PCI\/PCI-X Bridge|^PCI-Express to PCI-X Bridge|^PCI\/PCI-X Bridge/, 'bridgeToPci'],
  [/^PCI(\/PCI-X)? to PCI-Express Bridge|^PCI\/PCI-X to PCI-Express Bridge/, 'bridgeFromPci'],
  [/^Root Complex Integrated Endpoint/, 'integratedEndpoint'],
  [/^Root Complex Event Collector/, 'eventCollector'],
];

/** The names of makers in the PCI ID database, of those that the kernel's quirks are about. */
const MAKERS: readonly (readonly [RegExp, number])[] = [
  [/^Intel Corp/, 0x8086],
  [/^(Advanced Micro Devices, Inc\. \[AMD\/ATI\]|ATI Technologies)/, 0x1002],
  [/^(Advanced Micro Devices|AMD )/, 0x1022],
  [/^(Solarflare|Xilinx.*Solarflare)/, 0x1924],
  [/^Qualcomm/, 0x17cb],
  [/^(Guizhou )?Huaxintong/, 0x1dbf],
  [/^Cavium/, 0x177d],
  [/^Applied Micro Circuits/, 0x10e8],
  [/^Ampere/, 0x1def],
  [/^Broadcom/, 0x14e4],
  [/^Loongson/, 0x0014],
  [/^(Amazon.*)?Annapurna/, 0x1c36],
  [/^Zhaoxin|^Shanghai Zhaoxin/, 0x1d17],
  [/Wangxun/, 0x8088],
  [/^(Freescale|NXP)/, 0x1957],
  [/^Adaptec/, 0x9005],
  [/^Glenfly/, 0x6766],
  [/^Ricoh/, 0x1180],
  [/^Marvell/, 0x1b4b],
  [/^HighPoint/, 0x1103],
  [/^JMicron/, 0x197b],
  [/^(Integrated Technology Express|ITE Tech)/, 0x1283],
  [/^PLX/, 0x10b5],
  [/^Emulex.*BE3|^ServerEngines/, 0x19a2],
  [/^Emulex/, 0x10df],
  [/^ASMedia/, 0x1b21],
  [/^Tundra/, 0x10e3],
  [/^Lite-On|^Plextor/, 0x1c28],
];
/** Some other maker: there is no quirk for it. */
const NO_QUIRKS = 0;

/**
 * What a posted listing tells about the groups of a machine. What it does not show stays unknown.
 * @param dump the bytes of `-xxx` or `-xxxx`, where the text has them too: they know more than the words
 */
export function topologyOfListing({ functions }: Listing, dump?: HexDump): Topology {
  const bytes = new Map(dump?.functions.map(({ bdf, bytes: config }) => [bdf, config]));
  const amdUnit = functions.some((listed) => isUnit(listed) && makerOf(listed) === 0x1022);
  const found = functions.map((listed) => {
    const config = bytes.get(listed.bdf);
    const words = fromWords(listed);
    return config === undefined ? words : { ...words, ...functionOf({ bdf: listed.bdf, config }) };
  });
  return {
    functions: behindVmd(vfsByName(withVfs(found))),
    ivrs: amdUnit,
  };
}

/** Without the numbers of SR-IOV a VF shows by its name; its PF is taken to be the last function before it that could have VFs. */
function vfsByName(functions: readonly TopologyFunction[]): TopologyFunction[] {
  let pf: TopologyFunction | undefined;
  return functions.map((f) => {
    if (f.physfn !== undefined) return f;
    if (f.sriov !== undefined && f.sriov !== 'none') pf = f;
    const near = pf !== undefined && pf.vendor === f.vendor && parseBdf(pf.bdf)!.domain === parseBdf(f.bdf)!.domain;
    return near && /\bVirtual Function\b/.test(f.name ?? '') ? { ...f, physfn: pf!.bdf } : f;
  });
}

function fromWords(listed: ListedFunction): TopologyFunction {
  const f: TopologyFunction = { bdf: listed.bdf };
  const vendor = makerOf(listed);
  if (vendor !== undefined) f.vendor = vendor;
  if (listed.device !== undefined) f.device = listed.device;
  if (listed.name !== undefined) f.name = withoutMaker(listed.name);
  if (listed.subsystem) f.subsystem = listed.subsystem;
  if (listed.class !== undefined) f.class = listed.class * 256 + (listed.progIf ?? 0);
  if (listed.buses) f.buses = listed.buses;
  const port = portOf(listed);
  if (port !== undefined) f.port = port;
  const acs = acsOf(listed, port);
  if (acs !== undefined) f.acs = acs;
  const sriov = sriovOf(listed, port);
  if (sriov !== undefined) f.sriov = sriov;
  if (isUnit(listed)) {
    f.covered = false;
    f.coveredBecause = 'it is the remapping unit itself';
  }
  return f;
}

function isUnit({ class: code }: ListedFunction): boolean {
  return code === 0x0806;
}

function makerOf({ vendor, name }: ListedFunction): number | undefined {
  if (vendor !== undefined || name === undefined) return vendor;
  return MAKERS.find(([pattern]) => pattern.test(name))?.[1] ?? NO_QUIRKS;
}

function withoutMaker(name: string): string {
  return name.replace(
    /^.*?(Corporation|, Inc\.?( \[[^\]]*\])?|, Ltd\.?|Communications|Technologies|Co Ltd|subsidiaries|Group Ltd\.) /,
    '',
  );
}

function portOf(listed: ListedFunction): Port | undefined {
  const express = listedCapability(listed, /^Express/);
  if (express) {
    const words = express.text.replace(/^Express (\(v\d+\) )?/, '');
    return PORTS.find(([pattern]) => pattern.test(words))?.[1] ?? 'other';
  }
  return listed.told === 'listed' || listed.told === 'absent' ? 'conventional' : undefined;
}

const ACS_FLAGS = [
  ['SrcValid', ACS.SV],
  ['ReqRedir', ACS.RR],
  ['CmpltRedir', ACS.CR],
  ['UpstreamFwd', ACS.UF],
] as const;
const ALL_FLAGS = ACS.SV | ACS.RR | ACS.CR | ACS.UF;

function acsOf(listed: ListedFunction, port: Port | undefined): AcsRegisters | 'none' | undefined {
  const capability = listedCapability(listed, /^Access Control Services/);
  if (!capability) return port === undefined ? undefined : 'none';
  return registersOf(capability);
}

function registersOf(listed: ListedCapability): AcsRegisters {
  const offers = listedFlags(listed, 'ACSCap');
  const does = listedFlags(listed, 'ACSCtl');
  const registers: AcsRegisters = { capability: 0, control: 0, unread: 0 };
  for (const [word, bit] of ACS_FLAGS) {
    const can = offers?.get(word);
    const on = does?.get(word);
    if (can) registers.capability |= bit;
    if (on) registers.control |= bit;
    // What it does not offer needs no control.
    if (can === undefined || (can && on === undefined)) registers.unread |= bit;
  }
  if (!offers) registers.capability = ALL_FLAGS;
  return registers;
}

function sriovOf(listed: ListedFunction, port: Port | undefined): VfFacts | 'none' | undefined {
  const capability = listedCapability(listed, /^Single Root I\/O Virtualization/);
  if (!capability) return port === undefined ? undefined : 'none';
  const text = capability.lines.join(' ');
  const counts = /Initial VFs: (\d{1,5}), Total VFs: (\d{1,5}), Number of VFs: (\d{1,5})/.exec(text);
  const places = /VF offset: (\d{1,5}), stride: (\d{1,5}), Device ID: ([0-9a-f]{4})/i.exec(text);
  const enabled = listedFlags(capability, 'IOVCtl')?.get('Enable') ?? false;
  return {
    numVFs: enabled ? Number(counts?.[3] ?? 0) : 0,
    ...(counts && { totalVFs: Number(counts[2]) }),
    ...(places && { firstVFOffset: Number(places[1]), vfStride: Number(places[2]), vfDevice: Number.parseInt(places[3]!, 16) }),
  };
}
