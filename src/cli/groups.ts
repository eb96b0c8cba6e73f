import type { Run } from './command.ts';
import { UsageError } from './exit.ts';

export const run: Run<'groups'> = async () => {
  throw new UsageError('groups is not there yet');
};
