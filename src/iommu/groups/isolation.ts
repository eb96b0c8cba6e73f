import type { Fabric, Node } from './fabric.ts';
import { ACS_QUIRKS, type AcsQuirk, BRIDGE_QUIRKS, byVendor, rowMatches } from './quirks.ts';
import { type AcsBit, type AcsRegisters, REQ_ACS_FLAGS, requiredBits } from './topology.ts';

/** What the kernel answers when it asks whether a function is isolated. Linux drivers/pci/pci.c, pci_acs_enabled(). */
export interface Isolation {
  /** Undefined when what decides could not be read. */
  isolated: boolean | undefined;
  /** A clause about the function: `its ACS control has SV, RR, CR and UF on`. */
  because: string;
  /** Bits that are not on, when it is not isolated. */
  lacks: AcsBit[];
  /** The kernel's function, when it answered without the capability. */
  quirk?: string;
}

const ROWS_OF = byVendor(ACS_QUIRKS);
const BRIDGES_OF = byVendor(BRIDGE_QUIRKS);
const NO_ROWS: readonly AcsQuirk[] = [];

export interface IsolationOptions {
  /** Taken as when it was added to a running system: a function above 0 is known by the bit of its own header alone. */
  hotAdded?: boolean;
}

/** The kernel's answer for one function. */
export function isolationOf(node: Node, fabric: Fabric, { hotAdded = false }: IsolationOptions = {}): Isolation {
  const multifunction = node.multifunction && (!hotAdded || node.f.multifunction !== false);
  const rows = node.f.vendor === undefined ? NO_ROWS : (ROWS_OF.get(node.f.vendor) ?? NO_ROWS);
  // Without the vendor any row might apply; a function that nobody shares anything with is not asked, so this is rare.
  if (node.f.vendor === undefined) {
    const standard = standardIsolation(node, multifunction);
    return standard.isolated === undefined
      ? standard
      : { isolated: undefined, because: 'its vendor is not known, and the kernel has quirks by vendor', lacks: [] };
  }
  const doubts: Isolation[] = [];
  for (const row of rows) {
    if (row.ports && node.f.port !== undefined && !row.ports.includes(node.f.port)) continue;
    const matches = rowMatches(row, node.f);
    if (matches === false) continue;
    const answer = quirkAnswer(row, node, fabric, multifunction);
    if (answer === undefined) continue;
    if (matches === undefined || (row.ports && node.f.port === undefined)) doubts.push(answer);
    else return settle(answer, doubts);
  }
  return settle(standardIsolation(node, multifunction), doubts);
}

function settle(answer: Isolation, doubts: readonly Isolation[]): Isolation {
  const other = doubts.find((doubt) => doubt.isolated !== answer.isolated);
  if (other === undefined || answer.isolated === undefined) return answer;
  return {
    isolated: undefined,
    because: `the listing does not say which device it is, and ${other.quirk} of the kernel may apply`,
    lacks: [],
  };
}

function quirkAnswer(row: AcsQuirk, node: Node, fabric: Fabric, multifunction: boolean): Isolation | undefined {
  const { device, port, acs } = node.f;
  const because = `${row.kernel}: ${row.says}`;
  if (row.answers === 'spt') {
    if (acs === 'none') return undefined;
    if (acs === undefined)
      return { isolated: undefined, because: 'its ACS registers could not be read', lacks: [], quirk: row.kernel };
    // Where the listing cannot show the register: the kernel turns on at boot what the port offers.
    const control = acs.controlAt8 ?? acs.capability;
    return { ...judge({ ...acs, control }), because, quirk: row.kernel };
  }
  const answer =
    typeof row.answers === 'boolean'
      ? row.answers
      : row.answers({
          onRootBus: node.parent === undefined && !node.virtualBus,
          multifunction,
          ivrs: fabric.ivrs,
          ...(device !== undefined && { device }),
          ...(port !== undefined && { port }),
        });
  if (answer === undefined) return undefined;
  return { isolated: answer, because, lacks: answer ? [] : requiredBits(REQ_ACS_FLAGS), quirk: row.kernel };
}

const never = (because: string): Isolation => ({ isolated: false, because, lacks: requiredBits(REQ_ACS_FLAGS) });
const unread = (because: string): Isolation => ({ isolated: undefined, because, lacks: [] });
const CONVENTIONAL = never('it is conventional PCI, where all on a bus can reach each other');
const BRIDGE = never('it is a bridge between PCI Express and conventional PCI, to which ACS does not apply');
const COLLECTOR = never('it is an event collector of the root complex, which has no ACS');
const WITHOUT_ACS = never('it has no ACS capability');
const ALONE: Isolation = { isolated: true, because: 'it is the only function of its device', lacks: [] };
const NOT_ASKED: Isolation = { isolated: true, because: 'the kernel asks no ACS of its kind', lacks: [] };
const PORT_UNREAD = unread('its capabilities could not be read');
const ACS_UNREAD = unread('its ACS capability could not be read');

function standardIsolation(node: Node, multifunction: boolean): Isolation {
  const { port, acs } = node.f;
  switch (port) {
    case undefined:
      return PORT_UNREAD;
    case 'conventional':
      return CONVENTIONAL;
    case 'bridgeToPci':
    case 'bridgeFromPci':
      return BRIDGE;
    case 'eventCollector':
      return COLLECTOR;
    case 'rootPort':
    case 'downstreamPort':
      return registers(acs);
    case 'other':
      return NOT_ASKED;
    case 'endpoint':
    case 'legacyEndpoint':
    case 'upstreamPort':
    case 'integratedEndpoint':
      break;
  }
  return multifunction ? registers(acs) : ALONE;
}

function registers(acs: AcsRegisters | 'none' | undefined): Isolation {
  if (acs === undefined) return ACS_UNREAD;
  return acs === 'none' ? WITHOUT_ACS : judge(acs);
}

/** Bits that a function does not offer count as wired on. Linux drivers/pci/pci.c, pci_acs_flags_enabled(). */
function judge({ capability, control, unread }: AcsRegisters): Isolation {
  const off = requiredBits(REQ_ACS_FLAGS & capability & ~control & ~unread);
  if (off.length > 0) return { isolated: false, because: `its ACS control has ${list(off)} off`, lacks: off };
  const hidden = requiredBits(REQ_ACS_FLAGS & unread);
  if (hidden.length > 0)
    return { isolated: undefined, because: `the ${list(hidden)} of its ACS control could not be read`, lacks: [] };
  const on = requiredBits(REQ_ACS_FLAGS & capability);
  return {
    isolated: true,
    because: on.length > 0 ? `its ACS control has ${list(on)} on` : 'its ACS capability offers nothing to turn on',
    lacks: [],
  };
}

/** How a bridge aliases what is below it. Linux drivers/pci/search.c, pci_for_each_dma_alias(). */
export type Aliasing = 'none' | 'alias' | 'stop' | 'unknown';

export function aliasingOf({ f }: Node): Aliasing {
  const rows = f.vendor === undefined ? [] : (BRIDGES_OF.get(f.vendor) ?? []);
  if (rows.some((row) => row.is === 'translation-root' && rowMatches(row, f))) return 'stop';
  if (f.port === undefined) return 'unknown';
  return f.port === 'conventional' || f.port === 'bridgeToPci' || f.port === 'bridgeFromPci' ? 'alias' : 'none';
}

/** The requester ID that DMA from below carries when it leaves an aliasing bridge: `subordinate:00.0`, or of the bridge. */
export function aliasRequester({ f, bdf, domain, parent }: Node): string {
  const rows = f.vendor === undefined ? [] : (BRIDGES_OF.get(f.vendor) ?? []);
  const disguised =
    rows.some((row) => row.is === 'express-to-pci' && rowMatches(row, f)) &&
    f.port === 'conventional' &&
    parent !== undefined &&
    parent.f.port !== 'conventional' &&
    parent.f.port !== 'bridgeToPci';
  if ((f.port === 'bridgeToPci' || disguised) && f.buses !== undefined)
    return `${domain.toString(16).padStart(4, '0')}:${f.buses.secondary.toString(16).padStart(2, '0')}:00.0`;
  return bdf;
}

/** `SV, RR and UF`. */
export function list(words: readonly string[]): string {
  return words.length < 2 ? (words[0] ?? '') : `${words.slice(0, -1).join(', ')} and ${words.at(-1)}`;
}
