import type { Run } from './command.ts';
import { UsageError } from './exit.ts';

export const run: Run<'decode config'> = async () => {
  throw new UsageError('decode config is not there yet');
};
