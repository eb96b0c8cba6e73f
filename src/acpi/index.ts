export * from './dmar.ts';
export * from './dmar-build.ts';
export * from './dmar-formats.ts';
export * from './dmar-scopes.ts';
export type { TableFinding } from './findings.ts';
export * from './scope.ts';
export type { Described, Reserved, Structure } from './structure.ts';
export * from './table.ts';
