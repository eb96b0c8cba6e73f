import type { Run } from './command.ts';
import { UsageError } from './exit.ts';

export const dmar: Run<'decode dmar'> = async () => {
  throw new UsageError('decode dmar is not there yet');
};
export const ivrs: Run<'decode ivrs'> = async () => {
  throw new UsageError('decode ivrs is not there yet');
};
export const mcfg: Run<'decode mcfg'> = async () => {
  throw new UsageError('decode mcfg is not there yet');
};
export const viot: Run<'decode viot'> = async () => {
  throw new UsageError('decode viot is not there yet');
};
