import { wrap } from './output.ts';

/** Somewhere to write: standard output, standard error. */
export interface Sink {
  write(piece: string | Uint8Array): unknown;
  isTTY?: boolean;
  columns?: number;
}

/** What is being done now, for whoever waits. */
export interface Progress {
  /** Another thing is being done. */
  update(text: string): void;
  /** Ends it; the live line goes away. `text` stays on a line of its own. */
  done(text?: string): void;
}

/** Milliseconds before anything is shown: what ends sooner needs no progress. */
const PATIENCE = 1000;
const TICK = 100;
const FRAMES = ['|', '/', '-', '\\'];

/**
 * On a terminal one live line with the seconds; elsewhere a plain line for each thing. Either way only when it takes longer
 * than a second. The timer keeps no process alive.
 */
export function startProgress(sink: Sink, text: string, now: () => number = Date.now): Progress {
  const begin = now();
  let current = text;
  let said: string | undefined;
  let frame = 0;
  let live = false;
  const show = (): void => {
    if (now() - begin < PATIENCE) return;
    if (sink.isTTY) {
      const seconds = Math.floor((now() - begin) / 1000);
      const line = wrap(`${FRAMES[frame++ % FRAMES.length]} ${current} (${seconds} s)`, 10_000)[0]!;
      sink.write(`\r\u001b[K${line.slice(0, (sink.columns ?? 80) - 1)}`);
      live = true;
    } else if (said !== current) {
      said = current;
      sink.write(`${current}\n`);
    }
  };
  const timer = setInterval(show, TICK);
  timer.unref();
  return {
    update(next) {
      current = next;
      show();
    },
    done(last) {
      clearInterval(timer);
      if (live) sink.write('\r\u001b[K');
      if (last !== undefined) sink.write(`${last}\n`);
    },
  };
}
