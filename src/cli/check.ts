import type { Run } from './command.ts';
import { UsageError } from './exit.ts';

export const run: Run<'check'> = async (args, cx) => {
  if (args.for !== undefined) return (await import('./check-for.ts')).runFor(cx, args.for, args.target);
  throw new UsageError('check is not there yet');
};
