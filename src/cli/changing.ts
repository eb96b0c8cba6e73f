import { Interrupted as Stopped } from '../plan/apply.ts';
import type { StepContext } from '../plan/step.ts';
import type { Context } from './context.ts';
import type { Progress } from './progress.ts';

/**
 * What a verb that changes the host gives to its steps: Ctrl-C is heeded at the next safe point, and the crash test can end
 * the process at any single change. `SLUICE_CRASH_AT=N` kills it, as `kill -9` does, at the Nth point that it reaches.
 */
export function changing(cx: Context, progress: Progress): StepContext {
  const signal = cx.interruptible();
  const crashAt = Number(cx.world.env.SLUICE_CRASH_AT ?? 0);
  let points = 0;
  const stop = (): void => {
    if (signal.aborted) throw new Stopped();
  };
  return {
    async reached(point) {
      points++;
      if (points === crashAt) {
        cx.note(`crash point ${points}: ${point}`);
        process.kill(process.pid, 'SIGKILL');
      }
      stop();
    },
    stop,
    tell: (line) => progress.update(line),
  };
}
