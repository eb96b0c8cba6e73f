import { type Fabric, fabricOf, type Node } from './fabric.ts';
import { type Aliasing, aliasingOf, aliasRequester, type Isolation, isolationOf } from './isolation.ts';
import type { AcsBit, Topology } from './topology.ts';
import { isVmd } from './vmd.ts';

/** Why a function is in the group of another one that was there before. */
export interface Join {
  bdf: string;
  /** The function whose group it takes. */
  with: string;
  /**
   * `alias`: its DMA carries the requester ID of a bridge, or of VMD. `path`: a bridge above does not isolate.
   * `dma-alias`: a quirk gives it the requester ID of the other. `function`: functions of one device reach each other.
   */
  by: 'alias' | 'path' | 'dma-alias' | 'function';
  /** The bridge or function that does not isolate. */
  at: string;
  /** ACS bits that are not on there; empty where ACS could not help. */
  lacks: AcsBit[];
  /** A sentence without its end. */
  because: string;
}

export interface ComputedGroup {
  /** In the order of discovery; the kernel's numbers are these where one unit was there from the start. */
  number: number;
  members: string[];
  /** How each member but the first came to it. */
  joins: Join[];
}

export interface Computed {
  groups: ComputedGroup[];
  /** Functions without a group, and why. */
  ungrouped: { bdf: string; because: string }[];
  /**
   * Functions whose group is not known. `groups` has them where they are at the least; `perhapsWith` are those that may be with
   * them, 16 at the most.
   */
  unknown: { bdf: string; because: string[]; perhapsWith: string[] }[];
}

/** A reader wants to see whom it is about; thousands would be no help. */
const MOST_PERHAPS = 16;

/** One run over all functions in their order. */
interface Run {
  /** Group of each function by its place in the order, as an index; -1 for none. */
  groupOf: Int32Array;
  members: Node[][];
  joins: (Join | undefined)[];
}

export interface ComputeOptions {
  /** As if every function was added to the running system, not found at boot. */
  hotAdded?: boolean;
}

/**
 * The groups that the kernel makes of a machine at boot, from what decides them, in its own order.
 * Source: Linux 6.1 and 6.12 drivers/iommu/iommu.c, pci_device_group(), get_pci_alias_group(), get_pci_function_alias_group();
 * drivers/pci/search.c, pci_for_each_dma_alias(); drivers/pci/pci.c, pci_acs_path_enabled().
 *
 * Every function is in exactly one group or in `ungrouped`. What could not be read makes `unknown` only where it would matter.
 * @throws RangeError when an address cannot be one, or stands there twice
 */
export function computeGroups(topology: Topology, options: ComputeOptions = {}): Computed {
  return new Grouping(fabricOf(topology), options).computed();
}

export class Grouping {
  private readonly isolations: (Isolation | undefined)[] = [];
  /** Where two answers are possible: what is not known taken as isolating, and as not. */
  readonly fine: Run;
  private readonly coarse: Run;
  /** VMD functions, where something is behind one and it is not known behind which. */
  private readonly vmds: readonly Node[];

  readonly fabric: Fabric;
  private readonly options: ComputeOptions;

  constructor(fabric: Fabric, options: ComputeOptions = {}) {
    this.fabric = fabric;
    this.options = options;
    this.vmds = fabric.nodes.some(({ vmdUnknown }) => vmdUnknown) ? fabric.nodes.filter(({ f }) => isVmd(f)) : [];
    this.fine = this.run(true);
    this.coarse = fabric.nodes.some((node) => this.inDoubt(node)) ? this.run(false) : this.fine;
  }

  isolation(node: Node): Isolation {
    let found = this.isolations[node.index];
    if (found === undefined) {
      found = isolationOf(node, this.fabric, this.options);
      this.isolations[node.index] = found;
    }
    return found;
  }

  computed(): Computed {
    const { fabric, fine } = this;
    const groups = fine.members.map((members, number) => ({
      number,
      members: members.map(({ bdf }) => bdf),
      joins: members.slice(1).flatMap((node) => fine.joins[node.index] ?? []),
    }));
    const ungrouped: Computed['ungrouped'] = [];
    const unknown: Computed['unknown'] = [];
    const perhapsOf = new Map<number, string[]>();
    for (const node of fabric.nodes) {
      if (node.f.covered === false)
        ungrouped.push({
          bdf: node.bdf,
          because: node.f.coveredBecause ?? 'no remapping unit that the kernel drives is in front of it',
        });
      else {
        const perhaps = this.perhapsWith(node, perhapsOf);
        if (perhaps.length > 0 || node.vmdUnknown)
          unknown.push({ bdf: node.bdf, because: this.doubts(node), perhapsWith: perhaps });
      }
    }
    return { groups, ungrouped, unknown };
  }

  /** Whether two functions share a group if nothing that was not read isolates. */
  perhapsTogether(a: Node, b: Node): boolean {
    if ((a.vmdUnknown || b.vmdUnknown) && this.vmds.length === 0) return true;
    return this.coarse.groupOf[a.index] === this.coarse.groupOf[b.index];
  }

  /** Members that it has only when what is not known does not isolate: the same for all of a group. */
  private perhapsWith(node: Node, known: Map<number, string[]>): string[] {
    if (this.coarse === this.fine) return [];
    const own = this.fine.groupOf[node.index]!;
    let found = known.get(own);
    if (found !== undefined) return found;
    found = [];
    const all = this.coarse.members[this.coarse.groupOf[node.index]!]!;
    if (all.length > this.fine.members[own]!.length)
      for (const other of all) {
        if (this.fine.groupOf[other.index] !== own) found.push(other.bdf);
        if (found.length === MOST_PERHAPS) break;
      }
    known.set(own, found);
    return found;
  }

  private inDoubt(node: Node): boolean {
    return node.vmdUnknown || node.aliasUnknown || aliasingOf(node) === 'unknown' || this.isolation(node).isolated === undefined;
  }

  /** What was not read, of it, its device and the bridges above. */
  private doubts(node: Node): string[] {
    const seen = new Set<string>();
    const about = [node, ...node.mates];
    for (let at = node.parent; at && about.length < 64; at = at.parent) about.push(at, ...at.mates);
    const mates = this.coarse.members[this.coarse.groupOf[node.index]!]!;
    const behind = mates.find(({ vmdUnknown }) => vmdUnknown);
    if (behind !== undefined)
      seen.add(`${behind.bdf}: it is not known which VMD function it is behind, and its DMA carries the requester ID of that`);
    for (const one of [...about, ...mates.slice(0, 8)]) {
      const { isolated, because } = this.isolation(one);
      if (isolated === undefined) seen.add(`${one.bdf}: ${because}`);
      else if (aliasingOf(one) === 'unknown')
        seen.add(`${one.bdf}: whether it is PCI Express or conventional PCI could not be read`);
      if (one.aliasUnknown)
        seen.add(`${one.bdf}: it is not known which device it is, and quirks of the kernel may give it another requester ID`);
      if (seen.size >= 8) break;
    }
    return [...seen];
  }

  private run(otherwise: boolean): Run {
    const run: Run = { groupOf: new Int32Array(this.fabric.nodes.length).fill(-1), members: [], joins: [] };
    const blocked = new Map<Node, Node | undefined>();
    /** The first function that does not isolate, from a bridge up to its root bus. */
    const firstBlock = (bridge: Node): Node | undefined => {
      const way: Node[] = [];
      let at: Node | undefined = bridge;
      let found: Node | undefined;
      for (; at; at = at.parent) {
        if (blocked.has(at)) {
          found = blocked.get(at);
          break;
        }
        way.push(at);
        if (!(this.isolation(at).isolated ?? otherwise)) {
          found = at;
          break;
        }
      }
      // Below the block every bridge on the way has it; above it none was asked.
      for (const one of way) blocked.set(one, found);
      return found;
    };
    const isolated = (node: Node) => this.isolation(node).isolated ?? otherwise;
    const enter = (node: Node, join: Join, to: Node): void => {
      const group = run.groupOf[to.index]!;
      run.groupOf[node.index] = group;
      run.members[group]!.push(node);
      run.joins[node.index] = join;
    };
    for (const node of this.fabric.nodes) {
      if (node.f.covered === false) continue;
      const found = this.findGroup(node, run, otherwise, isolated, firstBlock);
      if (found) enter(node, found.join, found.to);
      else {
        run.groupOf[node.index] = run.members.length;
        run.members.push([node]);
      }
    }
    return run;
  }

  private findGroup(
    node: Node,
    run: Run,
    otherwise: boolean,
    isolated: (node: Node) => boolean,
    firstBlock: (bridge: Node) => Node | undefined,
  ): { join: Join; to: Node } | undefined {
    const has = (other: Node) => run.groupOf[other.index]! >= 0;
    const aliases = (bridge: Node): Aliasing => {
      const way = aliasingOf(bridge);
      return way === 'unknown' ? (otherwise ? 'none' : 'alias') : way;
    };

    // 1. Requester IDs that its DMA takes on the way up: the last bridge that gives it one stands for it from here on.
    // What may be behind any of several VMDs makes one group of them where all that is in doubt is taken together.
    const perhaps = node.vmdUnknown || this.vmds.includes(node) ? this.vmds[0] : undefined;
    if (!otherwise && perhaps !== undefined && perhaps !== node && has(perhaps))
      return join(node, perhaps, 'alias', perhaps, [], 'it may be behind the same VMD');
    let from = node.requester ?? node;
    if (from !== node && has(from)) {
      const whose = node.vmdUnknown ? `the same VMD function as that of ${from.bdf}` : `${from.bdf} (VMD)`;
      return join(node, from, 'alias', from, [], `its DMA carries the requester ID of ${whose}`);
    }
    for (let bridge = from.parent; bridge; bridge = bridge.parent) {
      const way = aliases(bridge);
      if (way === 'stop') break;
      if (way === 'none') continue;
      if (has(bridge))
        return join(
          node,
          bridge,
          'alias',
          bridge,
          [],
          `DMA from behind ${bridge.bdf} leaves it as ${aliasRequester(bridge)}: ${this.isolation(bridge).because}`,
        );
      from = bridge;
    }

    // 2. Up to where ACS keeps what is below from reaching anything else.
    for (let bridge = from.parent; bridge; bridge = bridge.parent) {
      const block = firstBlock(bridge);
      if (!block) break;
      from = bridge;
      if (has(bridge)) {
        const { because, lacks } = this.isolation(block);
        return join(node, bridge, 'path', block, lacks, `${block.bdf} above ${node.bdf} does not isolate: ${because}`);
      }
    }

    // 3. Functions that share a requester ID, 4. then functions of the same device.
    if (from.aliases.length === 0 && from === node && (from.mates.length === 0 || isolated(from))) return undefined;
    const visited = new Set<Node>();
    return this.aliasGroup(node, from, run, visited, isolated) ?? this.functionGroup(node, from, run, visited, isolated);
  }

  private aliasGroup(
    node: Node,
    from: Node,
    run: Run,
    visited: Set<Node>,
    isolated: (node: Node) => boolean,
  ): { join: Join; to: Node } | undefined {
    if (visited.has(from)) return undefined;
    visited.add(from);
    if (from !== node && run.groupOf[from.index]! >= 0) return join(node, from, 'function', from, [], '');
    for (const other of from.aliases) {
      const to =
        this.aliasGroup(node, other, run, visited, isolated)?.to ?? this.functionGroup(node, other, run, visited, isolated)?.to;
      if (to)
        return join(
          node,
          to,
          'dma-alias',
          other,
          [],
          `${from.bdf} and ${other.bdf} use one requester ID (a quirk of the device, or firmware says so)`,
        );
    }
    return undefined;
  }

  private functionGroup(
    node: Node,
    from: Node,
    run: Run,
    visited: Set<Node>,
    isolated: (node: Node) => boolean,
  ): { join: Join; to: Node } | undefined {
    const multifunction = from.multifunction && (!this.options.hotAdded || from.f.multifunction !== false);
    if (!multifunction || isolated(from)) return undefined;
    for (const mate of from.mates) {
      if (isolated(mate)) continue;
      const to = this.aliasGroup(node, mate, run, visited, isolated)?.to;
      if (!to) continue;
      const { because, lacks } = this.isolation(from);
      const other = this.isolation(mate);
      const both = lacks.filter((bit) => other.lacks.includes(bit));
      const each = because === other.because ? `each: ${because}` : `the first: ${because}; the second: ${other.because}`;
      const says = `${from.bdf} and ${mate.bdf} are functions of one device that can reach each other (${each})`;
      return join(node, to, 'function', from, both.length > 0 ? both : lacks, says);
    }
    return undefined;
  }
}

function join(node: Node, to: Node, by: Join['by'], at: Node, lacks: AcsBit[], because: string): { join: Join; to: Node } {
  return { join: { bdf: node.bdf, with: to.bdf, by, at: at.bdf, lacks, because }, to };
}
