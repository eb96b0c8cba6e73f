export * from './dmar.ts';
export * from './scope.ts';
export * from './table.ts';
