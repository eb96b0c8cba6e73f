export * from './changes.ts';
export * from './compare.ts';
export * from './compute.ts';
export * from './coverage.ts';
export * from './from-config.ts';
export * from './from-lspci.ts';
export * from './topology.ts';
export * from './why.ts';
