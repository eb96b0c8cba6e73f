import { formatBdf, type HexDump, type ListedFunction, type Listing, listedCapability, parseBdf } from '../pci/index.ts';
import { contentOf, type Place, placeOf, type Snapshot } from './snapshot.ts';

const HEADER = { type: 0x0e, bridge: 1, secondary: 0x19, subordinate: 0x1a } as const;

/** What one function is known by, from words and from bytes. */
interface Known {
  listed?: ListedFunction;
  bytes?: Uint8Array;
}

/**
 * What a posted listing of lspci tells, as a record of the host: the same readers and questions then go over it. What a listing
 * never shows (units, uses, firmware tables, whoever has a device open) is not in the record; neither is what this one left out,
 * which is told as unread for each function.
 *
 * @param taken when it was posted, or now, as ISO 8601
 */
export function recordOfListing(listing: Listing, dump: HexDump, taken: string): Snapshot {
  const functions = new Map<string, Known>();
  for (const listed of listing.functions) functions.set(listed.bdf, { listed });
  for (const { bdf, bytes } of dump.functions) if (bdf !== undefined) functions.set(bdf, { ...functions.get(bdf), bytes });
  const places: Snapshot['places'] = {};
  const put = (path: string, place: Place): void => {
    const { folder, name } = placeOf(path);
    const names = places[folder] ?? {};
    names[name] = { ...names[name], ...place };
    places[folder] = names;
  };
  const paths = pathsOf(functions);
  const groups = new Map<number, string[]>();
  put('/sys/bus/pci/devices', { list: [...functions.keys()].sort() });
  for (const [bdf, known] of functions) {
    const at = `/sys/bus/pci/devices/${bdf}`;
    put(at, { link: `../../..${(paths.get(bdf) ?? '').slice('/sys'.length)}` });
    const { attributes, links, unsaid } = attributesOf(known);
    for (const [name, text] of Object.entries(attributes)) put(`${at}/${name}`, { content: { text } });
    for (const [name, target] of Object.entries(links)) put(`${at}/${name}`, { link: target });
    if (known.bytes !== undefined) put(`${at}/config`, { parts: [{ offset: 0, length: 4096, answer: contentOf(known.bytes) }] });
    const names = [...Object.keys(attributes), ...Object.keys(links), ...unsaid];
    put(at, { list: [...names, ...(known.bytes === undefined ? [] : ['config'])].sort() });
    const group = known.listed?.group;
    if (group !== undefined) groups.set(group, groups.get(group) ?? []);
    if (group !== undefined) groups.get(group)?.push(bdf);
  }
  if (groups.size > 0) {
    put('/sys/kernel/iommu_groups', { list: [...groups.keys()].map(String).sort() });
    for (const [group, members] of groups) {
      const at = `/sys/kernel/iommu_groups/${group}`;
      put(at, { list: ['devices'] });
      put(`${at}/devices`, { list: members.sort() });
    }
  }
  return {
    schema: 'sluice/snapshot/1',
    about: 'What a listing of lspci tells.',
    tool: 'lspci',
    taken,
    redacted: false,
    places,
    nvme: [],
    programs: [],
  };
}

/** Attributes and links as sysfs would show them, and names of what the text leaves open. */
function attributesOf({ listed, bytes }: Known): {
  attributes: Record<string, string>;
  links: Record<string, string>;
  unsaid: string[];
} {
  const word = (at: number): number | undefined =>
    bytes === undefined || bytes.length < at + 2 ? undefined : bytes[at]! + bytes[at + 1]! * 256;
  const sixteen = (value: number | undefined): string => `0x${(value ?? 0xffff).toString(16).padStart(4, '0')}\n`;
  const own = listed?.class === undefined ? undefined : listed.class * 256 + (listed.progIf ?? 0);
  const code = own ?? (bytes === undefined || bytes.length < 12 ? 0xff0000 : word(0x0a)! * 256 + bytes[9]!);
  const attributes: Record<string, string> = {
    vendor: sixteen(listed?.vendor ?? word(0)),
    device: sixteen(listed?.device ?? word(2)),
    class: `0x${code.toString(16).padStart(6, '0')}\n`,
  };
  const links: Record<string, string> = {};
  const unsaid: string[] = [];
  // Only a listing with -v says which driver has a function, and that none has it.
  if (listed?.driver !== undefined) links.driver = `../../../bus/pci/drivers/${listed.driver}`;
  else if (listed === undefined || listed.told === 'none') unsaid.push('driver');
  if (listed?.group !== undefined) links.iommu_group = `../../../kernel/iommu_groups/${listed.group}`;
  else unsaid.push('iommu_group');
  const sriov = listed && listedCapability(listed, /^Single Root I\/O Virtualization/);
  const text = sriov?.lines.join(' ') ?? '';
  const [, total, num] = /Total VFs: (\d+), Number of VFs: (\d+)/.exec(text) ?? [];
  const [, offset, stride] = /VF offset: (\d+), stride: (\d+)/.exec(text) ?? [];
  if (total !== undefined && num !== undefined) {
    attributes.sriov_totalvfs = total;
    attributes.sriov_numvfs = num;
    if (offset !== undefined) attributes.sriov_offset = offset;
    if (stride !== undefined) attributes.sriov_stride = stride;
  }
  return { attributes, links, unsaid };
}

/** Where each function stands: below the bridge whose bus it is on, and that one below its own. */
function pathsOf(functions: ReadonlyMap<string, Known>): Map<string, string> {
  const bridges = new Map<string, string>();
  for (const [bdf, { listed, bytes }] of functions) {
    const isBridge = bytes !== undefined && bytes.length > HEADER.subordinate && (bytes[HEADER.type]! & 0x7f) === HEADER.bridge;
    const secondary = listed?.buses?.secondary ?? (isBridge ? bytes[HEADER.secondary] : undefined);
    const domain = parseBdf(bdf)?.domain;
    if (secondary) bridges.set(`${domain} ${secondary}`, bdf);
  }
  const paths = new Map<string, string>();
  const pathOf = (bdf: string, steps: number): string => {
    const known = paths.get(bdf);
    if (known !== undefined) return known;
    const { domain = 0, bus = 0 } = parseBdf(bdf) ?? {};
    const bridge = steps > 256 ? undefined : bridges.get(`${domain} ${bus}`);
    const root = formatBdf({ domain, bus, device: 0, function: 0 }).slice(0, -5);
    const path =
      bridge === undefined || bridge === bdf ? `/sys/devices/pci${root}/${bdf}` : `${pathOf(bridge, steps + 1)}/${bdf}`;
    paths.set(bdf, path);
    return path;
  };
  for (const bdf of functions.keys()) pathOf(bdf, 0);
  return paths;
}
