import type { ConformanceSet } from './set.ts';

/** Every set, in the order of the report. */
export const SETS: readonly ConformanceSet[] = [];
