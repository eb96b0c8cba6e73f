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

/** What a unit made of a request. */
export interface RequestAnswer {
  /** As in the vectors: `ok`, `fault`, `blocked`. */
  r: string;
  /** Each part that lies in one page, and where it went. */
  pieces: { iova: bigint; hpa: bigint | undefined; length: number }[];
  /** Bytes read or written, in hexadecimal, when everything went through to memory. */
  data: string | undefined;
  /** The reasons of all parts that were refused, reported or not. */
  reasons: number[];
  /** The fault record after the request. */
  fault: (Required<Omit<Fault, 'info' | 'infoBits'>> & { info: bigint }) | undefined;
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
  /** Judge the fault record and FSTS: nothing before differed with good reason. */
  log: boolean;
  /** Judge the bytes: memory is what it was when the answer was recorded. */
  data: boolean;
  quirks: ReadonlySet<string>;
  /** Whether the unit has PASIDs: without, PP and PV of a fault record are reserved, which the specification's vectors overlook (VT-d 5.10 §11.4.7.6). */
  pasids: boolean;
  /** The bits of FI that the unit implements: below its largest AGAW (VT-d 5.10 §11.4.7.6). QEMU records all. */
  info: bigint;
  /** The unit is in scalable mode: answers without a cache lack `specReasons`. */
  scalable: boolean;
}

/** Undefined when it is the expected answer. */
export function difference(expect: RequestExpect, ours: RequestAnswer, rules: Rules): string | undefined {
  const said = `${ours.r}${ours.reasons.map((reason) => ` ${reason.toString(16)}h`).join('')}`;
  if (expect.r !== ours.r) return `${said}, not ${expect.r}${expect.fault ? ` ${expect.fault.reason.toString(16)}h` : ''}`;
  return (
    placesDiffer(expect, ours) ??
    (rules.data && expect.data !== undefined && expect.r === 'ok' && !expect.unverified && ours.data !== undefined
      ? differ('data', expect.data, ours.data)
      : undefined) ??
    (expect.completion ? completionDiffers(expect.completion, ours.completion) : undefined) ??
    (rules.log && expect.fault ? faultDiffers(expect, expect.fault, ours, rules) : undefined) ??
    (rules.log && expect.fsts !== undefined ? differ('FSTS', Number(expect.fsts), ours.fsts) : undefined) ??
    (rules.reads && expect.reads ? readsDiffer(expect.reads, expect.readsMin, ours.reads) : undefined)
  );
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

function placesDiffer({ hpa, pieces }: RequestExpect, ours: RequestAnswer): string | undefined {
  if (hpa !== undefined) return differ('hpa', BigInt(hpa), ours.pieces[0]?.hpa);
  for (const [at, [, where, length]] of (pieces ?? []).entries()) {
    const piece = ours.pieces[at];
    const why =
      differ(`length of part ${at}`, length, piece?.length) ??
      (where === null
        ? piece?.hpa === undefined
          ? undefined
          : `part ${at} went to ${shown(piece.hpa)} and should not`
        : differ(`hpa of part ${at}`, BigInt(where), piece?.hpa));
    if (why !== undefined) return why;
  }
  return undefined;
}

function faultDiffers(
  expect: RequestExpect,
  theirs: Fault,
  { fault: ours }: RequestAnswer,
  { quirks, pasids, info, scalable }: Rules,
): string | undefined {
  if (ours === undefined) return 'no fault is recorded';
  const reasons = [theirs.reason, ...(expect.specReasons ?? (scalable ? (SCALABLE_REASONS[theirs.reason] ?? []) : []))];
  if (!reasons.includes(ours.reason)) return differ('reason', theirs.reason, ours.reason);
  const mask = ((1n << BigInt(theirs.infoBits ?? 64)) - 1n) & info;
  const ignorePasid = !pasids || quirks.has('pp-set-for-request-without-pasid');
  return (
    differ('sid', theirs.sid, ours.sid) ??
    differ('type', theirs.type, ours.type) ??
    differ('t2', theirs.t2, ours.t2) ??
    differ('at', theirs.at, ours.at) ??
    (ignorePasid
      ? undefined
      : (differ('pp', theirs.pp, ours.pp) ??
        (theirs.pp === 1 ? (differ('pasid', theirs.pasid, ours.pasid) ?? differ('priv', theirs.priv, ours.priv)) : undefined))) ??
    (theirs.info === undefined ? undefined : differ('info', BigInt(theirs.info) & mask, ours.info & mask))
  );
}

function completionDiffers(theirs: ExpectedCompletion, ours: Completion | undefined): string | undefined {
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
  // A smaller part of the range is right as well; of pass-through any range is.
  if (theirs.sizeFree ? ours.addr > addr && ours.addr >= addr + size : ours.addr < addr || ours.addr + ours.size > addr + size)
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
const SCALABLE_REASONS: Readonly<Record<number, readonly number[]>> = {
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

const RESERVED_SECOND_STAGE = [0x0c, 0x7a];

/** By quirk: reasons that may stand in place of what QEMU says, on either side. */
const EITHER: Readonly<Record<string, readonly number[]>> = {
  'pasid-entry-type-checked-before-present': [0x59],
  'pasid-entry-reserved-unchecked': [0x5a],
  'pasid-dir-reserved-unchecked': [0x52],
  'sm-context-flag-unchecked': [0x42, 0x43],
  'fs-canonical-uses-pasid-aw': [0x80],
  'fs-xd-without-nxe': [0x72],
  'ss-snp-bit': RESERVED_SECOND_STAGE,
  'ss-table-bit11': RESERVED_SECOND_STAGE,
  'ss-low-flag-bits': RESERVED_SECOND_STAGE,
  'bit62-tm': RESERVED_SECOND_STAGE,
  'top-table-access-error-code': [0x03, 0x07, 0x78, 0x7b, 0x73],
  'pass-through-has-no-width-check': [0x04, 0x83],
};

/** Whether QEMU is known to take a shortcut here, so that our answer may stand beside its own. */
export function excused(
  op: DmaOp | AtsOp,
  expect: RequestExpect,
  ours: RequestAnswer,
  quirks: ReadonlySet<string>,
  haw: number,
): boolean {
  const theirs = expect.fault?.reason;
  const reasons = [theirs ?? -1, ...ours.reasons];
  for (const quirk of quirks) if (EITHER[quirk]?.some((reason) => reasons.includes(reason))) return true;
  if (quirks.has('unreviewed-difference')) return true;
  if (theirs !== undefined) {
    const known = [theirs, ...(SCALABLE_REASONS[theirs] ?? [])];
    // One of two pages was blocked without a record.
    if (
      quirks.has('cached-permission-blocks-silently') &&
      ours.pieces.length > 1 &&
      ours.reasons.some((reason) => known.includes(reason))
    )
      return true;
    if (
      quirks.has('all-pasid-errors-are-0x58') &&
      theirs === 0x58 &&
      ours.reasons.every((reason) => reason >= 0x50 && reason <= 0x5b)
    )
      return true;
  }
  // §3.9: pass-through beyond the host address width is a fault, which no quirk is needed to know.
  if (
    expect.hpa !== undefined &&
    BigInt(expect.hpa) >> BigInt(haw) !== 0n &&
    ours.reasons.every((reason) => reason === 4 || reason === 0x83)
  )
    return true;
  // QEMU reports what FPD should silence.
  if (ours.r === 'blocked' && expect.r === 'fault') {
    if (quirks.has('reserved-context-field-ignores-fpd') && theirs === 0xb) return true;
    if (quirks.has('pasid-errors-ignore-fpd') && theirs !== undefined && theirs >= 0x50 && theirs <= 0x5f) return true;
  }
  // A page that merely contains the range is refused as a whole there.
  if (quirks.has('interrupt-range-checked-per-page') && (theirs === 0xe || theirs === 0x87))
    return !ours.pieces.some(({ hpa }) => hpa !== undefined && hpa >> 20n === 0xfeen);
  return op.op === 'dma' && quirks.has('rid-pasid-without-rps');
}
