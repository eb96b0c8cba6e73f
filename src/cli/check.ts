import type { Run } from './command.ts';
import { UsageError } from './exit.ts';

export const run: Run<'check'> = async () => {
  throw new UsageError('check is not there yet');
};
