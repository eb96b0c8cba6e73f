/**
 * The word that was probably meant: the one with the fewest edits (insert, delete, replace, swap of neighbours), when they
 * are few for its length. Letter case does not count.
 *
 * @returns undefined when nothing is near
 */
export function nearest(word: string, candidates: readonly string[]): string | undefined {
  let best: string | undefined;
  let least = Number.POSITIVE_INFINITY;
  for (const candidate of candidates) {
    const allowed = Math.max(1, Math.floor(Math.max(word.length, candidate.length) / 3));
    if (Math.abs(word.length - candidate.length) > allowed) continue;
    const edits = distance(word.toLowerCase(), candidate.toLowerCase());
    if (edits <= allowed && edits < least) {
      least = edits;
      best = candidate;
    }
  }
  return best;
}

/** Optimal string alignment distance. */
function distance(a: string, b: string): number {
  let older: number[] = [];
  let old: number[] = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const same = a[i - 1] === b[j - 1];
      let edits = Math.min(old[j]! + 1, row[j - 1]! + 1, old[j - 1]! + (same ? 0 : 1));
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) edits = Math.min(edits, older[j - 2]! + 1);
      row.push(edits);
    }
    older = old;
    old = row;
  }
  return old[b.length]!;
}

/** Text from outside as one short printable line: quotes around it, control characters escaped, the middle cut when long. */
export function quoted(text: string, most = 60): string {
  const short = text.length > most ? `${text.slice(0, most - 12)} ... ${text.slice(-7)}` : text;
  let line = '';
  for (const letter of JSON.stringify(short)) {
    const code = letter.codePointAt(0)!;
    // JSON leaves DEL, C1 controls, direction marks and line separators as they are; a terminal obeys some of them.
    const unsafe = (code >= 0x7f && code < 0xa0) || (code >= 0x200b && code <= 0x200f) || (code >= 0x2028 && code <= 0x202e);
    line += unsafe || (code >= 0x2066 && code <= 0x2069) ? `\\u${code.toString(16).padStart(4, '0')}` : letter;
  }
  return line;
}
