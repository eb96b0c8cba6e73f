import { existsSync } from 'node:fs';
import { basename, join } from 'node:path';

/** How far one set of outside data agrees with us. */
export interface Outcome {
  agreed: number;
  total: number;
  /** One line for each that does not: which case, what was expected, what we said. */
  disagreements: string[];
  /** Cases that are not in `total`, because what was recorded of them does not decide the answer; each with why. */
  undecidable?: string[];
}

/** Data of one kind with an oracle that is not ours. */
export interface ConformanceSet {
  /** What the line of the report begins with, such as `acpi/dmar`. */
  name: string;
  /**
   * Judges what a folder has for this set.
   * @param folder laid out like the collection, or one part of it
   * @returns undefined when there is nothing for this set
   */
  run(folder: string): Promise<Outcome | undefined> | Outcome | undefined;
}

/**
 * Where a part of the collection is when `folder` is the collection, that part, or something between: `acpi/dmar` in
 * `data`, `data/acpi` and `data/acpi/dmar`. Undefined when it is in none of these places.
 */
export function partOf(folder: string, part: string): string | undefined {
  const names = part.split('/');
  for (let skip = 0; skip < names.length; skip++) {
    // Below the collection the names above are those of the folder itself.
    if (skip > 0 && basename(folder) !== names[skip - 1]) continue;
    const path = join(folder, ...names.slice(skip));
    if (existsSync(path)) return path;
  }
  return basename(folder) === names.at(-1) && existsSync(folder) ? folder : undefined;
}

/** Counts as it goes. */
export class Tally implements Outcome {
  agreed = 0;
  total = 0;
  readonly disagreements: string[] = [];
  readonly undecidable: string[] = [];

  /** @param why undefined when it agrees */
  add(what: string, why: string | undefined): void {
    this.total++;
    if (why === undefined) this.agreed++;
    else this.disagreements.push(`${what}: ${why}`);
  }

  /** A case that nobody could judge by what was recorded. */
  leaveOut(what: string, why: string): void {
    this.undecidable.push(`${what}: ${why}`);
  }
}
