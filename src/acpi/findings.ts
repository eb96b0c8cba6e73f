/** Something in a table that is not as the specification wants it. */
export interface TableFinding {
  /** Bytes from the start of the table. */
  offset: number;
  /**
   * `broken`: the bytes contradict the format or each other, so that readers skip, refuse or misread a part of the table.
   * `odd`: it can be read, and breaks a rule of the specification or is what causes trouble on other machines.
   */
  is: 'broken' | 'odd';
  says: string;
}

/** More than anybody reads. A hostile table could give one for every four bytes. */
const MOST = 1000;

/** Findings as they come, in a number that no table can drive up. */
export class Findings {
  readonly list: TableFinding[] = [];

  broken(offset: number, says: string): void {
    this.add({ offset, is: 'broken', says });
  }

  odd(offset: number, says: string): void {
    this.add({ offset, is: 'odd', says });
  }

  /** All of them, in the order of the table. */
  sorted(): TableFinding[] {
    return this.list.toSorted((a, b) => a.offset - b.offset);
  }

  private add(finding: TableFinding): void {
    if (this.list.length < MOST) this.list.push(finding);
    else if (this.list.length === MOST) this.list.push({ ...finding, says: 'from here on no more findings are listed' });
  }
}

/** A range of numbers, ends included, with the place in the table that gives it. */
export interface Range {
  start: bigint | number;
  end: bigint | number;
  offset: number;
}

/**
 * Ranges that begin inside another one, each with one that it begins in. Ranges that end before they start are left out.
 * The place that counts is that of the later one in the table.
 */
export function overlapping<R extends Range>(ranges: readonly R[]): { later: R; earlier: R }[] {
  const sorted = ranges
    .filter(({ start, end }) => start <= end)
    .sort((a, b) => (a.start < b.start ? -1 : a.start > b.start ? 1 : 0));
  const found: { later: R; earlier: R }[] = [];
  let widest: R | undefined;
  for (const range of sorted) {
    if (widest && range.start <= widest.end)
      found.push(range.offset > widest.offset ? { later: range, earlier: widest } : { later: widest, earlier: range });
    if (!widest || range.end > widest.end) widest = range;
  }
  return found;
}
