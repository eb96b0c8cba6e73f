export * from './amdvi/registers.ts';
export * from './faults/index.ts';
export * from './groups/index.ts';
export * from './vtd/registers.ts';
