export * from './commands.ts';
export * from './identify.ts';
export * from './registers.ts';
export * from './status.ts';
