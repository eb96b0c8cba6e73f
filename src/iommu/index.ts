export * from './amdvi/registers.ts';
export * from './groups/index.ts';
export * from './vtd/registers.ts';
