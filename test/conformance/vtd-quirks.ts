import { readWord } from './vtd-cases.ts';
import type { Driver } from './vtd-driver.ts';
import { type RequestAnswer, type RequestExpect, reasonOf, SCALABLE_REASONS } from './vtd-requests.ts';

// Shortcuts of QEMU: which answers may stand beside its own. Each excuses what it is about, and nothing else.

/** Reserved bits of second-stage entries, in both modes. */
const RESERVED_SECOND_STAGE = [0x0c, 0x7a];
const TOO_WIDE = [0x04, 0x83];
const IN_INTERRUPT_RANGE = [0x0e, 0x87];

/** Reasons that the specification has where QEMU does not look. */
const UNCHECKED: Readonly<Record<string, readonly number[]>> = {
  'pasid-entry-reserved-unchecked': [0x5a],
  'pasid-dir-reserved-unchecked': [0x52],
  'sm-context-flag-unchecked': [0x42, 0x43],
  'fs-canonical-uses-pasid-aw': [0x80],
  'fs-xd-without-nxe': [0x72],
  'ss-snp-bit': RESERVED_SECOND_STAGE,
  'ss-table-bit11': RESERVED_SECOND_STAGE,
  'ss-low-flag-bits': RESERVED_SECOND_STAGE,
  'bit62-tm': RESERVED_SECOND_STAGE,
  'pass-through-has-no-width-check': TOO_WIDE,
  'pasid-entry-gated-fields': [0x5a],
  'flags-without-page-walk-snoop': [0x90],
};

/** Reasons of QEMU that the specification does not have. */
const INVENTED: Readonly<Record<string, readonly number[]>> = {
  'fs-canonical-uses-pasid-aw': [0x80],
  'ss-snp-bit': RESERVED_SECOND_STAGE,
  'bit62-tm': RESERVED_SECOND_STAGE,
  'interrupt-range-checked-per-page': IN_INTERRUPT_RANGE,
};

/** By quirk: what QEMU says, and what may stand in its place. */
const EXCHANGED: Readonly<Record<string, readonly [theirs: readonly number[], ours: readonly number[]]>> = {
  'pasid-entry-type-checked-before-present': [[0x5b, 0x58], [0x59]],
  'top-table-access-error-code': [
    [0x03, 0x73],
    [0x03, 0x07, 0x78, 0x7b, 0x73],
  ],
  'all-pasid-errors-are-0x58': [[0x58], [0x50, 0x51, 0x52, 0x58, 0x59, 0x5a, 0x5b]],
};

/** Qualified faults that QEMU reports although FPD is set. */
const DESPITE_FPD: Readonly<Record<string, readonly number[]>> = {
  'reserved-context-field-ignores-fpd': [0x0b, 0x42],
  'pasid-errors-ignore-fpd': [0x50, 0x51, 0x52, 0x58, 0x59, 0x5a, 0x5b],
};

/** The quirk that lets the answer stand beside what was recorded, or undefined. The unit had no caches. */
export function excused(
  quirks: ReadonlySet<string>,
  expect: RequestExpect,
  ours: RequestAnswer,
  { memory, unit }: Driver,
): string | undefined {
  const theirs = reasonOf(expect);
  const known = theirs === undefined ? [] : [theirs, ...(expect.specReasons ?? SCALABLE_REASONS[theirs] ?? [])];
  const refusedFor = (reasons: readonly number[]) =>
    ours.reasons.length > 0 && ours.reasons.every((reason) => reasons.includes(reason));
  // §3.9: no quirk is needed to know that there is nothing.
  const beyond = expect.hpa !== undefined && BigInt(expect.hpa) >> BigInt(unit.config.haw) !== 0n;
  if (beyond && expect.unverified && refusedFor(TOO_WIDE)) return 'pass-through-has-no-width-check';
  for (const quirk of quirks) {
    if (UNCHECKED[quirk] && refusedFor(UNCHECKED[quirk]) && !known.some((reason) => UNCHECKED[quirk]!.includes(reason)))
      return quirk;
    if (INVENTED[quirk] && known.some((reason) => INVENTED[quirk]!.includes(reason)) && ours.r === 'ok')
      if (quirk !== 'interrupt-range-checked-per-page' || !ours.pieces.some(({ hpa }) => hpa! >> 20n === 0xfeen)) return quirk;
    if (EXCHANGED[quirk]?.[0].includes(theirs ?? -1) && refusedFor(EXCHANGED[quirk][1])) return quirk;
    if (DESPITE_FPD[quirk]?.includes(theirs ?? -1) && ours.r === 'blocked' && refusedFor([...known, ...DESPITE_FPD[quirk]]))
      return quirk;
    switch (quirk) {
      case 'unreviewed-difference':
        return quirk;
      case 'cached-permission-blocks-silently': {
        // One page was blocked without a record, so that the record is of another.
        const page = expect.fault?.info === undefined ? -1n : BigInt(expect.fault.info);
        const recorded = ours.pieces.find(({ iova }) => (iova & ~0xfffn) === page);
        if (ours.r === 'fault' && ours.pieces.length > 1 && recorded && known.includes(recorded.reason)) return quirk;
        break;
      }
      case 'rid-pasid-without-rps': {
        // §9.4: a field that does not exist is reserved.
        const at = ours.reads.find(([kind]) => kind === 'ctx')?.[1];
        const field = at === undefined ? 0n : (readWord(memory, at + 8n) ?? 0n) & 0xfffffn;
        if (field !== 0n && refusedFor([0x42])) return quirk;
      }
    }
  }
  return undefined;
}

/** Quirks that a unit may have as deviations. A case with some quirk may have them without naming them. */
export const DEVIATIONS: readonly string[] = ['pasid-entry-gated-fields', 'flags-without-page-walk-snoop'];
