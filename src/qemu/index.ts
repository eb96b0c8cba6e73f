export { connectAgent, GuestAgent, type GuestExit, openAgent } from './agent.ts';
export {
  type ArgvRefusal,
  type ArgvResult,
  buildArgv,
  type GuestFiles,
  type GuestMachine,
  guestFiles,
  type PlacedDevice,
} from './argv.ts';
export { DEVICES, type QemuCapabilities, type QemuOption, readQemu } from './capabilities.ts';
export {
  consoleTail,
  type StartedGuest,
  type StartOptions,
  type StopOptions,
  type StoppedGuest,
  startGuest,
  stopGuest,
} from './guest.ts';
export { findGuest, type GuestProcess, guestProcesses } from './processes.ts';
export { connectQmp, openQmp, Qmp, QmpError, type QmpEvent, type QmpOptions } from './qmp.ts';
export { decodeUtf8 } from './text.ts';
