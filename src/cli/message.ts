import { columns, wrap } from './output.ts';
import type { Sink } from './progress.ts';

/** A terminal that is narrower than this shows no words. */
const NARROWEST = 20;

/**
 * A message as it is written to a sink: on a terminal in its columns, between words, and each line goes on below its own
 * beginning. Elsewhere as it is, for programs look for whole lines.
 */
export function fitMessage(text: string, sink: Sink): string {
  if (sink.isTTY !== true) return text;
  const width = Math.max(NARROWEST, sink.columns ?? 80);
  return text
    .split('\n')
    .flatMap((line) => {
      if (columns(line) <= width) return line;
      const [before] = /^ */.exec(line)!;
      return wrap(line.trim(), Math.max(NARROWEST, width - before.length)).map((part) => before + part);
    })
    .join('\n');
}
