import { type Computed, Grouping, type Join } from './compute.ts';
import { fabricOf, type Node } from './fabric.ts';
import type { AcsBit, Topology } from './topology.ts';

/** What joins two functions, or keeps them apart. */
export interface Why {
  a: string;
  b: string;
  /** `none`: one of them has no group. */
  is: 'together' | 'apart' | 'unknown' | 'none';
  /** The first bridge or function that joins them; absent when they are apart. */
  at?: string;
  /** ACS bits that are missing there; empty when ACS could not part them. */
  missing: AcsBit[];
  /** From what decides to what follows, a sentence each. */
  because: string[];
}

/**
 * Why two functions share a group, or not.
 * @throws RangeError when the topology has no such function
 */
export function whyTogether(topology: Topology, a: string, b: string): Why {
  const grouping = new Grouping(fabricOf(topology));
  const [one, other] = [a, b].map((bdf) => {
    const node = grouping.fabric.byBdf.get(bdf);
    if (!node) throw new RangeError(`there is no function ${bdf}`);
    return node;
  }) as [Node, Node];
  const computed = grouping.computed();
  const none = computed.ungrouped.filter(({ bdf }) => bdf === a || bdf === b);
  if (none.length > 0)
    return { a, b, is: 'none', missing: [], because: none.map(({ bdf, because }) => `${bdf} has no group: ${because}.`) };
  const { groupOf, joins } = grouping.fine;
  if (groupOf[one.index] === groupOf[other.index]) return { a, b, is: 'together', ...joining(one, other, joins, grouping) };
  if (grouping.perhapsTogether(one, other)) {
    const doubts = computed.unknown.filter(({ bdf }) => bdf === a || bdf === b).flatMap(({ because }) => because);
    return { a, b, is: 'unknown', missing: [], because: [...new Set(doubts)].map((text) => `Not known: ${text}.`) };
  }
  return { a, b, is: 'apart', missing: [], because: parting(one, other, grouping) };
}

/** Each function took the group of one that was there before it: two of a group meet at some function on these ways. */
function joining(
  a: Node,
  b: Node,
  joins: readonly (Join | undefined)[],
  grouping: Grouping,
): Pick<Why, 'at' | 'missing' | 'because'> {
  const wayOf = (node: Node): Join[] => {
    const way: Join[] = [];
    for (let join = joins[node.index]; join; join = joins[grouping.fabric.byBdf.get(join.with)!.index]) way.push(join);
    return way;
  };
  const ofA = wayOf(a);
  const ofB = wayOf(b);
  // What both have in common behind the place where they meet tells nothing about the two.
  while (ofA.length > 0 && ofB.length > 0 && ofA.at(-1) === ofB.at(-1)) {
    ofA.pop();
    ofB.pop();
  }
  const steps = [...ofA, ...ofB];
  const [first] = steps;
  const said = new Set(
    steps.map(({ bdf, because, with: to, by }) =>
      by === 'function' || by === 'dma-alias' ? `${because}.` : `${bdf} is in the group of ${to}: ${because}.`,
    ),
  );
  return { ...(first && { at: first.at }), missing: first?.lacks ?? [], because: [...said] };
}

function parting(a: Node, b: Node, grouping: Grouping): string[] {
  if (a.domain === b.domain && a.bus === b.bus && a.devfn >> 3 === b.devfn >> 3 && a.virtualBus === b.virtualBus) {
    const alone = [a, b].filter((node) => grouping.isolation(node).isolated);
    return alone.map((node) =>
      node.f.physfn === undefined
        ? `${node.bdf} is isolated from the other functions of its device: ${grouping.isolation(node).because}.`
        : `${node.bdf} is a VF, and VFs reach others only through the port above.`,
    );
  }
  const bridges = (node: Node): Node[] => {
    const way: Node[] = [];
    for (let at = node.parent; at; at = at.parent) way.push(at);
    return way;
  };
  const [aboveA, aboveB] = [bridges(a), bridges(b)];
  const common = new Set(aboveA.filter((node) => aboveB.includes(node)));
  const own = [...aboveA, ...aboveB].filter((node) => !common.has(node));
  const asked = [...new Set([...own, ...common])];
  const says = asked.map(
    (node) =>
      `${node.bdf} above ${own.includes(node) ? (aboveA.includes(node) ? a.bdf : b.bdf) : 'both'} isolates: ${grouping.isolation(node).because}.`,
  );
  if (common.size === 0)
    says.push('They meet in the root complex only, where the kernel takes different devices to be isolated.');
  return says;
}

/** The reason of a group of several, in one sentence; undefined for one member. */
export function reasonOf({ joins }: Computed['groups'][number]): string | undefined {
  const [first] = joins;
  if (!first) return undefined;
  const decisive = joins.find(({ by }) => by === 'alias' || by === 'path') ?? first;
  return decisive.because;
}
