export * from './vtd/registers.ts';
