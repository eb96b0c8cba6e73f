export * from './groups/index.ts';
export * from './vtd/registers.ts';
