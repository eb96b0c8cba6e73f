/** Boots a real Linux kernel in a software-emulated PC with VT-d and SR-IOV devices, in which this machine's own files are there. */
export { LabError } from './errors.ts';
export type { Devices } from './machine.ts';
export { type Reason, type RunOptions, type RunResult, runInLab } from './run.ts';
export { type LabStatus, labStatus, openLab, type SetupOptions, setupLab } from './setup.ts';
export { shellInLab } from './shell.ts';
export type { Abilities, Flavour, Lab } from './store.ts';
