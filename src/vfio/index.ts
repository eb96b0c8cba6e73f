export type * from './calculation.ts';
export * from './chains.ts';
export * from './dma-entries.ts';
export * from './ioctls.ts';
export * from './memlock.ts';
export * from './refusals.ts';
export * from './structures.ts';
export type * from './vfio.ts';
