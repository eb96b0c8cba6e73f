import type { Run } from './command.ts';
import { UsageError } from './exit.ts';

export const run: Run<'snapshot'> = async () => {
  throw new UsageError('snapshot is not there yet');
};
