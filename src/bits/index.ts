export * from './bytes.ts';
export * from './entry.ts';
