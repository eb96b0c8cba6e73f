import type { Run } from './command.ts';
import { UsageError } from './exit.ts';

export const run: Run<'decode fault'> = async () => {
  throw new UsageError('decode fault is not there yet');
};
