// What the vectors say of memory and translation requests, and how an answer is judged against it.

interface Fault {
  reason: number;
  sid: number;
  type?: number;
  t2?: number;
  at?: number;
  pp?: number;
  pasid?: number;
  priv?: number;
  info?: string;
  /** How many low bits of `info` are defined; all when not given. */
  infoBits?: number;
}

export interface RequestExpect {
  r: string;
  hpa?: string;
  pieces?: [iova: string, hpa: string | null, length: number][];
  data?: string;
  unverified?: boolean;
  fault?: Fault;
  /** Reasons that the specification has for the same. */
  specReasons?: number[];
  /** Why it was refused, when that was not recorded. */
  reason?: number;
  events?: { addr: string; data: string }[];
  completion?: ExpectedCompletion;
  fsts?: string;
  reads?: [kind: string, address: string][];
  readsMin?: number;
}

interface ExpectedCompletion {
  status: string;
  r?: number;
  w?: number;
  u?: number;
  priv?: number;
  s?: number;
  n?: number;
  addr?: string;
  size?: string;
  sizeFree?: boolean;
}

interface Request {
  sid: number;
  iova: string;
  pasid?: number;
  priv?: boolean | number;
  er?: boolean | number;
  clear: boolean;
  expect: RequestExpect;
  /** Of a request that may be served from a cache: the answer without one. */
  expectFresh?: RequestExpect;
  accept?: RequestExpect[];
}

export interface DmaOp extends Request {
  op: 'dma';
  write: boolean;
  len: number;
  translated?: boolean;
  atomic?: boolean;
}

export interface AtsOp extends Request {
  op: 'ats';
  nw: number;
}

/** A fault record. */
export type Recorded = Required<Omit<Fault, 'info' | 'infoBits'>> & { info: bigint };

/** What a unit made of a request. */
export interface RequestAnswer {
  /** As in the vectors: `ok`, `fault`, `blocked`. */
  r: string;
  /** Each part that lies in one page: where it went, or why it did not; and both in a line. */
  pieces: { iova: bigint; length: number; hpa: bigint | undefined; reason: number; reported: boolean; shown: string }[];
  /** Bytes read or written, in hexadecimal, when everything went through to memory. */
  data: string | undefined;
  /** The reasons of all parts that were refused, reported or not. */
  reasons: number[];
  /** The fault record after the request. */
  fault: Recorded | undefined;
  completion: Completion | undefined;
  fsts: number;
  reads: [kind: string, address: bigint][];
}

export interface Completion {
  status: string;
  r: number;
  w: number;
  u: number;
  priv: number;
  s: number;
  n: number;
  addr: bigint;
  size: bigint;
}

/** What of an answer counts. */
export interface Rules {
  /** Judge the entries that were read: the unit had no caches. */
  reads: boolean;
  /** Judge the fault record and FSTS: nothing is left of an answer that differed with good reason. */
  log: boolean;
  /** The fault record was there before the request. */
  older: boolean;
  /** Judge the bytes: memory there is what it was when the answer was recorded. */
  data: boolean;
  /** PP and PASID of a fault record are those of the request. */
  pasids: boolean;
  /** The bits of FI that the unit implements: below its largest AGAW (VT-d 5.10 §11.4.7.6). QEMU records all. */
  info: bigint;
  /** The answer may have the reason of legacy mode for a condition of scalable mode, without saying so. */
  legacyReasons: boolean;
}

/** Undefined when it is the expected answer. */
export function difference(expect: RequestExpect, ours: RequestAnswer, rules: Rules): string | undefined {
  const said = `${ours.r}${ours.reasons.map((reason) => ` ${reason.toString(16)}h`).join('')}`;
  if (expect.r !== ours.r) return `${said}, not ${expect.r}${expect.fault ? ` ${expect.fault.reason.toString(16)}h` : ''}`;
  const why = rules.older ? expect.reason : reasonOf(expect);
  if (why !== undefined && !reasonsFor(why, expect, rules).some((reason) => ours.reasons.includes(reason)))
    return `${said}, not ${why.toString(16)}h`;
  return (
    placesDiffer(expect, ours) ??
    (rules.data && expect.data !== undefined && expect.r === 'ok' && !expect.unverified
      ? differ('data', expect.data, ours.data ?? 'nowhere')
      : undefined) ??
    (expect.completion ? completionDiffers(expect.completion, ours) : undefined) ??
    (rules.log ? recordDiffers(expect, ours, rules) : undefined) ??
    (rules.log && expect.fsts !== undefined ? differ('FSTS', Number(expect.fsts), ours.fsts) : undefined) ??
    (rules.reads && expect.reads ? readsDiffer(expect.reads, expect.readsMin, ours.reads) : undefined)
  );
}

/** Why it was refused, when that is told. */
export function reasonOf({ r, reason, fault }: RequestExpect): number | undefined {
  return r === 'fault' ? (reason ?? fault?.reason) : undefined;
}

/** The reasons that are right where one was given. */
function reasonsFor(reason: number, { specReasons }: RequestExpect, { legacyReasons }: Rules): readonly number[] {
  return [reason, ...(specReasons ?? (legacyReasons ? (SCALABLE_REASONS[reason] ?? []) : []))];
}

function differ<T extends string | number | bigint>(
  what: string,
  theirs: T | undefined,
  ours: T | undefined,
): string | undefined {
  return theirs === undefined || theirs === ours ? undefined : `${what} is ${shown(ours)}, not ${shown(theirs)}`;
}

const shown = (value: string | number | bigint | undefined): string =>
  typeof value === 'bigint' || typeof value === 'number' ? `0x${value.toString(16)}` : String(value);

function placesDiffer({ r, hpa, pieces }: RequestExpect, ours: RequestAnswer): string | undefined {
  if (hpa !== undefined) return ours.pieces.length > 1 ? 'it is cut' : differ('hpa', BigInt(hpa), ours.pieces[0]?.hpa);
  // Nothing went anywhere.
  if (pieces === undefined)
    return r === 'ok'
      ? undefined
      : partsDiffer(
          ours.pieces.map(({ length }) => [null, length]),
          ours,
        );
  return partsDiffer(
    pieces.map(([, where, length]) => [where, length]),
    ours,
  );
}

function partsDiffer(theirs: (readonly [string | null, number])[], { pieces: ours }: RequestAnswer): string | undefined {
  for (const [at, [where, length]] of theirs.entries()) {
    const piece = ours[at];
    const why =
      differ(`length of part ${at}`, length, piece?.length) ??
      (where !== null
        ? differ(`hpa of part ${at}`, BigInt(where), piece?.hpa)
        : piece?.hpa === undefined
          ? undefined
          : `part ${at} went to ${shown(piece.hpa)} and should not`);
    if (why !== undefined) return why;
  }
  return differ('number of parts', theirs.length, ours.length);
}

function recordDiffers(expect: RequestExpect, { fault: ours }: Pick<RequestAnswer, 'fault'>, rules: Rules): string | undefined {
  const { fault: theirs } = expect;
  if (theirs === undefined) return ours === undefined ? undefined : 'a fault is recorded';
  if (ours === undefined) return 'no fault is recorded';
  if (!reasonsFor(theirs.reason, expect, rules).includes(ours.reason))
    return differ('recorded reason', theirs.reason, ours.reason);
  const mask = ((1n << BigInt(theirs.infoBits ?? 64)) - 1n) & rules.info;
  return (
    differ('sid', theirs.sid, ours.sid) ??
    differ('type', theirs.type, ours.type) ??
    differ('t2', theirs.t2 ?? (theirs.at === undefined ? undefined : 0), ours.t2) ??
    differ('at', theirs.at, ours.at) ??
    (rules.pasids
      ? (differ('pp', theirs.pp, ours.pp) ??
        (theirs.pp === 1 ? (differ('pasid', theirs.pasid, ours.pasid) ?? differ('priv', theirs.priv, ours.priv)) : undefined))
      : undefined) ??
    (theirs.info === undefined ? undefined : differ('info', BigInt(theirs.info) & mask, ours.info & mask))
  );
}

function completionDiffers(theirs: ExpectedCompletion, { completion: ours, pieces }: RequestAnswer): string | undefined {
  if (ours === undefined) return 'no completion';
  const simple =
    differ('status', theirs.status, ours.status) ??
    differ('r', theirs.r, ours.r) ??
    differ('w', theirs.w, ours.w) ??
    differ('u', theirs.u, ours.u) ??
    differ('priv', theirs.priv, ours.priv) ??
    differ('n', theirs.n, ours.n);
  if (simple !== undefined || theirs.addr === undefined || theirs.size === undefined)
    return simple ?? differ('s', theirs.s, ours.s);
  const [addr, size] = [BigInt(theirs.addr), BigInt(theirs.size)];
  // A smaller part of the range is right as well, when it is the one that the address is in; of pass-through any range is.
  const inside = pieces[0]!.iova & (size - 1n);
  const place = theirs.sizeFree ? pieces[0]!.iova : addr + inside;
  if ((!theirs.sizeFree && ours.size > size) || ours.size < 4096n || ours.addr !== (place & -ours.size))
    return `range is ${shown(ours.addr)}, ${shown(ours.size)}, not ${shown(addr)}, ${shown(size)}`;
  return differ('s', ours.size > 4096n ? 1 : 0, ours.s);
}

function readsDiffer(theirs: [string, string][], least: number | undefined, ours: [string, bigint][]): string | undefined {
  const text = (reads: readonly (readonly [string, string | bigint])[]) =>
    reads.map(([kind, address]) => `${kind} ${shown(BigInt(address))}`).join(', ');
  const enough = least !== undefined && ours.length >= least ? theirs.slice(0, ours.length) : theirs;
  return differ('reads', text(enough), text(ours));
}

/** What the specification says in scalable mode for the reasons of legacy mode. Table 30. */
export const SCALABLE_REASONS: Readonly<Record<number, readonly number[]>> = {
  1: [0x39],
  2: [0x41],
  3: [0x43, 0x5b, 0x73, 0x7b],
  4: [0x84],
  5: [0x85, 0x79],
  6: [0x86, 0x79],
  7: [0x70, 0x78],
  8: [0x38],
  9: [0x40],
  0xa: [0x3a],
  0xb: [0x42],
  0xc: [0x72, 0x7a],
  0xd: [0x44],
  0xe: [0x87],
};
