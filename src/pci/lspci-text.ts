import { type Bdf, formatBdf, parseBdf } from './bdf.ts';
import { isTreeLine, TreeReader } from './lspci-tree.ts';

/** A capability as it was printed: one line, and those that are indented below it. */
export interface ListedCapability {
  /** Place in configuration space, in bytes. */
  offset: number;
  /** The text behind the offset: `Express (v2) Root Port (Slot+), MSI 00`. */
  text: string;
  /** Lines that belong to it, without their indent; none with a single `-v`. */
  lines: string[];
  /** Counted from 1. */
  line: number;
}

/** One function of a listing. What the listing does not say is absent. */
export interface ListedFunction {
  bdf: string;
  /** Where it begins, counted from 1. */
  line: number;
  /** As printed: `PCI bridge`. */
  className?: string;
  /** Class and subclass, 16 bits, from numbers or from the words. */
  class?: number;
  progIf?: number;
  /** Maker and device as printed, in one text: without numbers nothing says where one ends. */
  name?: string;
  vendor?: number;
  device?: number;
  subsystem?: { vendor: number; device: number };
  revision?: number;
  buses?: { primary: number; secondary: number; subordinate: number };
  capabilities: ListedCapability[];
  /** `denied`: it said `<access denied>`. `absent`: it has none. `none`: nothing was said, as without `-v`. */
  told: 'listed' | 'denied' | 'absent' | 'none';
  /** Whether the listing goes into its capabilities, as with `-vv`. */
  detailed: boolean;
  driver?: string;
  group?: number;
}

export interface ListingFinding {
  /** Counted from 1. */
  line: number;
  says: string;
}

export interface Listing {
  functions: ListedFunction[];
  /** What did not look as lspci prints it. */
  findings: ListingFinding[];
}

const MOST_FINDINGS = 1000;
/** Marks of quoted mail. The tree of `lspci -t` begins with `|` as well, but then no address follows. */
const QUOTE = /^(?:>[ \t]?)+/;
const HEAD = /^((?:[0-9a-f]{4,8}:)?[0-9a-f]{2}:[01][0-9a-f]\.[0-7])[ \t]+(.*)$/i;
const CAPABILITY = /^Capabilities: \[([0-9a-f]{2,3})(?: v\d+)?\] ?(.*)$/i;

/** Words of the PCI ID database for classes that decide something. */
const CLASSES: readonly (readonly [RegExp, number])[] = [
  [/^Host bridge$/i, 0x0600],
  [/^ISA bridge$/i, 0x0601],
  [/^PCI bridge$/i, 0x0604],
  [/^CardBus bridge$/i, 0x0607],
  [/^Semi-transparent PCI-to-PCI bridge$/i, 0x0609],
  [/^Bridge$/i, 0x0680],
  [/^IOMMU$/i, 0x0806],
  [/^System peripheral$/i, 0x0880],
  [/^Ethernet controller$/i, 0x0200],
  [/^Network controller$/i, 0x0280],
  [/^Infiniband controller$/i, 0x0207],
  [/^VGA compatible controller$/i, 0x0300],
  [/^3D controller$/i, 0x0302],
  [/^Display controller$/i, 0x0380],
  [/^RAID bus controller$/i, 0x0104],
  [/^SATA controller$/i, 0x0106],
  [/^IDE interface$/i, 0x0101],
  [/^Serial Attached SCSI controller$/i, 0x0107],
  [/^Non-Volatile memory controller$/i, 0x0108],
  [/^USB controller$/i, 0x0c03],
  [/^SMBus$/i, 0x0c05],
  [/^Audio device$/i, 0x0403],
  [/^Multimedia audio controller$/i, 0x0401],
  [/^RAM memory$/i, 0x0500],
  [/^Communication controller$/i, 0x0780],
  [/^Serial controller$/i, 0x0700],
];

/**
 * Reads what people post of `lspci`: with or without `-v` to `-vvv`, `-n`, `-nn`, `-D`, `-mm`, `-vmm` or `-t`, among prose, quoted,
 * with CRLF, tabs, spaces or those of a web page that do not break, and with lines that a mail program broke or cut. Never throws.
 *
 * It says what stands there and guesses nothing: without numbers in the listing there are none here.
 * Addresses without a domain are in domain 0, unless the listing names others as well.
 */
export function readLspciText(text: string): Listing {
  const all: ListedFunction[] = [];
  const findings: ListingFinding[] = [];
  const find = (line: number, says: string): void => {
    if (findings.length < MOST_FINDINGS) findings.push({ line, says });
  };
  let current: ListedFunction | undefined;
  let capability: ListedCapability | undefined;
  let indent = 0;
  const tree = new TreeReader();
  /** The first line of a function, while it may go on. */
  let headText: string | undefined;
  const begin = (address: Bdf, line: number): ListedFunction => {
    const bdf = formatBdf(address);
    capability = undefined;
    const found: ListedFunction = { bdf, line, capabilities: [], told: 'none', detailed: false };
    all.push(found);
    return found;
  };

  for (const [i, raw] of text.split('\n').entries()) {
    const line = i + 1;
    const plain = raw.replace(/\r$/, '').replaceAll('\u00a0', ' ').replace(QUOTE, '').slice(0, 2000);
    const head = HEAD.exec(plain);
    if (head) {
      current = begin(parseBdf(head[1]!)!, line);
      headText = head[2]!;
      readHead(current, headText);
      continue;
    }
    const slot = /^(?:Slot|Device):\t((?:[0-9a-f]{4,8}:)?[0-9a-f]{2}:[01][0-9a-f]\.[0-7])$/i.exec(plain);
    if (slot) {
      current = begin(parseBdf(slot[1]!)!, line);
      headText = undefined;
      continue;
    }
    if (isTreeLine(plain)) {
      for (const { name, buses, ...address } of tree.read(plain)) {
        const found = begin(address, line);
        if (name !== undefined && name !== '') found.name = name;
        if (buses) found.buses = buses;
      }
      current = undefined;
      continue;
    }
    if (!current) continue;
    const trimmed = plain.trim();
    if (trimmed === '') {
      capability = undefined;
      headText = undefined;
      continue;
    }
    // A mail program breaks long lines, the first one as well.
    if (headText !== undefined && headText.length > 40 && /^[^ \t]/.test(plain)) {
      readHead(current, `${headText} ${trimmed}`);
      headText = undefined;
      continue;
    }
    headText = undefined;
    const found = CAPABILITY.exec(trimmed);
    if (found) {
      capability = { offset: Number.parseInt(found[1]!, 16), text: found[2]!, lines: [], line };
      indent = plain.length - plain.trimStart().length;
      current.capabilities.push(capability);
      current.told = 'listed';
      continue;
    }
    if (capability && plain.length - plain.trimStart().length > indent) {
      capability.lines.push(trimmed);
      if (/:\t|: /.test(trimmed)) current.detailed = true;
      continue;
    }
    // A mail program breaks lines and sets the rest at the margin.
    if (capability && !/^[ \t]/.test(plain) && plain !== '' && !/^\w[\w ]*: ?/.test(plain)) {
      capability.lines.push(trimmed);
      continue;
    }
    readLine(current, trimmed, line, find);
  }
  return { functions: merged(all), findings };
}

/** People post a short listing and then a long one: a function has what any of them says, the first one first. */
function merged(all: readonly ListedFunction[]): ListedFunction[] {
  const functions = new Map<string, ListedFunction>();
  for (const found of all) {
    const known = functions.get(found.bdf);
    if (!known) {
      functions.set(found.bdf, found);
      continue;
    }
    const { capabilities, told, detailed } = found;
    const more = known.told === 'none' || (detailed && !known.detailed) || (told === 'listed' && known.told !== 'listed');
    functions.set(found.bdf, { ...found, ...known, ...(more && { capabilities, told, detailed }) });
  }
  return [...functions.values()];
}

/** What follows the address: `PCI bridge [0604]: Intel Corporation Device [8086:1901] (rev 05) (prog-if 00 [Normal decode])`. */
function readHead(found: ListedFunction, text: string): void {
  const quoted = [...text.matchAll(/"([^"]*)"/g)].map((match) => match[1]!);
  if (quoted.length >= 3) {
    // -mm: class, vendor, device, then -rXX and the subsystem.
    const [kind = '', vendor = '', device = ''] = quoted;
    readClass(found, kind);
    setName(found, `${vendor} ${device}`);
    assignNumber(found, 'vendor', /\[([0-9a-f]{4})\]$|^([0-9a-f]{4})$/i.exec(vendor));
    assignNumber(found, 'device', /\[([0-9a-f]{4})\]$|^([0-9a-f]{4})$/i.exec(device));
    assignNumber(found, 'revision', /-r([0-9a-f]{2})\b/i.exec(text));
    return;
  }
  const progIf = /\(prog-if ([0-9a-f]{2})/i.exec(text);
  const revision = /\(rev ([0-9a-f]{2})\)/i.exec(text);
  assignNumber(found, 'progIf', progIf);
  assignNumber(found, 'revision', revision);
  const colon = text.indexOf(': ');
  const kind = colon < 0 ? text : text.slice(0, colon);
  readClass(found, kind.trim());
  const rest = (colon < 0 ? '' : text.slice(colon + 2)).replace(/ \((rev|prog-if) .*$/i, '').trim();
  const bare = /^([0-9a-f]{4}):([0-9a-f]{4})$/i.exec(rest);
  const ids = bare ?? [...rest.matchAll(/\[([0-9a-f]{4}):([0-9a-f]{4})\]/gi)].at(-1);
  if (ids) {
    found.vendor = Number.parseInt(ids[1]!, 16);
    found.device = Number.parseInt(ids[2]!, 16);
  } else {
    // The words for a device that the database did not have.
    const unnamed = / Device ([0-9a-f]{4})$/i.exec(rest);
    if (unnamed) found.device = Number.parseInt(unnamed[1]!, 16);
  }
  if (!bare && rest !== '') setName(found, rest.replace(/ *\[[0-9a-f]{4}:[0-9a-f]{4}\]$/i, ''));
}

function setName(found: ListedFunction, name: string): void {
  found.name = name.slice(0, 300);
}

function readClass(found: ListedFunction, text: string): void {
  const code = /\[([0-9a-f]{4})\]$/i.exec(text) ?? /^(?:Class )?([0-9a-f]{4})$/i.exec(text);
  const words = text.replace(/ *\[[0-9a-f]{4}\]$/i, '').trim();
  if (words !== '') found.className = words.slice(0, 100);
  const known = code ? Number.parseInt(code[1]!, 16) : CLASSES.find(([pattern]) => pattern.test(words))?.[1];
  if (known !== undefined) found.class = known;
}

function assignNumber(
  found: ListedFunction,
  key: 'vendor' | 'device' | 'revision' | 'progIf',
  match: RegExpExecArray | null,
): void {
  const digits = match?.slice(1).find((group) => group !== undefined);
  if (digits !== undefined) found[key] = Number.parseInt(digits, 16);
}

function readLine(found: ListedFunction, line: string, at: number, find: (line: number, says: string) => void): void {
  if (/^Capabilities: <access denied>/i.test(line)) {
    found.told = 'denied';
    return;
  }
  // These two come with -v, and then capabilities follow, or their denial, where there are any.
  if (/^(Status|Flags): /.test(line) && found.told === 'none') {
    found.told = 'absent';
    return;
  }
  const buses = /^Bus: primary=([0-9a-f]{2}), secondary=([0-9a-f]{2}), subordinate=([0-9a-f]{2})/i.exec(line);
  if (buses) {
    const [primary, secondary, subordinate] = buses.slice(1).map((digits) => Number.parseInt(digits, 16)) as [
      number,
      number,
      number,
    ];
    found.buses = { primary, secondary, subordinate };
    return;
  }
  if (/^Bus: /.test(line)) {
    find(at, 'the bus numbers of the bridge are not complete');
    return;
  }
  const subsystem = /^Subsystem: .*?\[?([0-9a-f]{4}):([0-9a-f]{4})\]?$/i.exec(line);
  if (subsystem) {
    found.subsystem = { vendor: Number.parseInt(subsystem[1]!, 16), device: Number.parseInt(subsystem[2]!, 16) };
    return;
  }
  const group = /^IOMMU ?group: *(\d{1,6})$/i.exec(line);
  if (group) {
    found.group = Number(group[1]);
    return;
  }
  const driver = /^(?:Kernel driver in use|Driver):\s*(\S+)$/.exec(line);
  if (driver) {
    found.driver = driver[1]!;
    return;
  }
  // lspci -vmm: one field a line.
  const field = /^(Class|Vendor|Device|Rev|ProgIf):\t(.*)$/.exec(line);
  if (!field) return;
  const [, key = '', value = ''] = field;
  if (key === 'Class') readClass(found, value.trim());
  else if (key === 'Vendor' || key === 'Device') {
    assignNumber(found, key === 'Vendor' ? 'vendor' : 'device', /\[([0-9a-f]{4})\]$|^([0-9a-f]{4})$/i.exec(value));
    setName(found, `${found.name ?? ''} ${value}`.trim());
  } else assignNumber(found, key === 'Rev' ? 'revision' : 'progIf', /^([0-9a-f]{2})$/i.exec(value));
}

/** The first capability whose text begins so. */
export function listedCapability(found: ListedFunction, pattern: RegExp): ListedCapability | undefined {
  return found.capabilities.find(({ text }) => pattern.test(text));
}

/**
 * Flags such as `SrcValid+ TransBlk-` behind a word such as `ACSCtl`, over as many lines as they take. Undefined when the word
 * is not there; a flag that the text was cut before is not in the result.
 */
export function listedFlags(capability: ListedCapability, word: string): Map<string, boolean> | undefined {
  const start = capability.lines.findIndex((line) => line.startsWith(`${word}:`));
  if (start < 0) return undefined;
  const flags = new Map<string, boolean>();
  for (const [i, line] of capability.lines.slice(start).entries()) {
    const text = i === 0 ? line.slice(word.length + 1) : line;
    if (i > 0 && /^[A-Za-z0-9 ]+:/.test(line)) break;
    for (const [, name = '', sign = ''] of text.matchAll(/([A-Za-z0-9]+)([+-])(?=[\s,]|$)/g)) flags.set(name, sign === '+');
  }
  return flags;
}
