import { closeSync, constants, openSync, readSync, writeSync } from 'node:fs';
import { HostError } from '../host.ts';
import { errnoName, errnoOf, hostError } from './errors.ts';
import { Mapping } from './mapping.ts';

/** An ioctl with the name that goes into messages. */
export interface Ioctl {
  name: string;
  number: number;
}

/**
 * The few system calls that the live host makes itself. Everything throws {@link HostError} with the path or the call's name
 * and its errno. Small, so that the order of calls can be tested without a kernel that has the devices.
 */
export interface Sys {
  /** open(2), with O_CLOEXEC. */
  open(path: string, flags: number): number;
  close(fd: number): void;
  /** ioctl(2); a byte array is passed by address and changed in place, a number by value. @returns what the call returned */
  ioctl(fd: number, call: Ioctl, argument: Uint8Array | number): number;
  /** Shared anonymous memory, zeroed, rounded up to whole pages. */
  anonymous(bytes: number): Mapping;
  /** Part of a device file, for loads and stores. */
  map(fd: number, offset: number, bytes: number): Mapping;
  /** pread(2). @returns bytes read */
  pread(fd: number, into: Uint8Array, offset: number): number;
  /** pwrite(2). @returns bytes written */
  pwrite(fd: number, from: Uint8Array, offset: number): number;
  /** eventfd(2), not blocking. */
  eventfd(): number;
  /** Takes the events counted so far; 0 when there were none. */
  takeEvents(fd: number): number;
  /** Calls `ready` once, when `fd` can be read. @returns stops waiting; must be called before `fd` is closed */
  whenReadable(fd: number, ready: () => void): () => void;
  /** Makes a call that is still running after so many seconds fail with `EINTR`. @returns takes it back */
  interruptAfter(seconds: number): () => void;
}

const PAGE = 4096;
const PROT_READ = 1;
const PROT_WRITE = 2;
const MAP_SHARED = 1;
const MAP_ANONYMOUS = 0x20;
const EFD_FLAGS = constants.O_NONBLOCK | 0o2000000; // EFD_NONBLOCK | EFD_CLOEXEC, the values of the O_ flags

let loaded: Promise<Sys> | undefined;

/**
 * The system calls through koffi, loaded on first use: looking at a host needs none of them.
 * @throws HostError when koffi is not installed or cannot be loaded
 */
export function nativeSys(): Promise<Sys> {
  loaded ??= loadSys();
  return loaded;
}

async function loadSys(): Promise<Sys> {
  const { default: koffi } = await import('koffi').catch((error: unknown) => {
    const why = error instanceof Error ? error.message.split('\n')[0] : String(error);
    throw new HostError('koffi', `native calls need this optional package; install it with "npm install koffi": ${why}`);
  });
  // The C library is already in the process: no file name, so glibc and musl both work. On x86-64 and arm64 Linux the
  // variadic ioctl takes its argument in an ordinary register, so a fixed prototype is right.
  const libc = koffi.load(null);
  const ioctlNumber = libc.func('ioctl', 'int', ['int', 'ulong', 'uintptr_t']);
  const ioctlBytes = libc.func('ioctl', 'int', ['int', 'ulong', 'void *']);
  const mmap = libc.func('mmap', 'int64', ['uintptr_t', 'size_t', 'int', 'int', 'int', 'int64']);
  const munmap = libc.func('munmap', 'int', ['uintptr_t', 'size_t']);
  const eventfd = libc.func('eventfd', 'int', ['uint', 'int']);
  const alarm = libc.func('alarm', 'uint', ['uint']);

  const check = (result: unknown, call: string): number => {
    const number = Number(result);
    if (number < 0) throw new HostError(call, 'refused by the kernel', errnoName(koffi.errno()));
    return number;
  };
  const mapping = (bytes: number, flags: number, fd: number, offset: number): Mapping => {
    const length = Math.ceil(bytes / PAGE) * PAGE;
    const address = check(mmap(0, length, PROT_READ | PROT_WRITE, flags, fd, offset), 'mmap');
    return new Mapping(koffi.view(address, length), address, () => check(munmap(address, length), 'munmap'));
  };

  return {
    open(path, flags) {
      try {
        return openSync(path, flags);
      } catch (error) {
        throw hostError(path, 'open', error);
      }
    },
    close: (fd) => closeSync(fd),
    ioctl(fd, call, argument) {
      if (typeof argument === 'number') return check(ioctlNumber(fd, call.number, argument), call.name);
      return check(ioctlBytes(fd, call.number, argument), call.name);
    },
    anonymous: (bytes) => mapping(bytes, MAP_SHARED | MAP_ANONYMOUS, -1, 0),
    map: (fd, offset, bytes) => mapping(bytes, MAP_SHARED, fd, offset),
    pread: (fd, into, offset) => call('pread', () => readSync(fd, into, 0, into.length, offset)),
    pwrite: (fd, from, offset) => call('pwrite', () => writeSync(fd, from, 0, from.length, offset)),
    eventfd: () => check(eventfd(0, EFD_FLAGS), 'eventfd'),
    takeEvents(fd) {
      const counter = new Uint8Array(8);
      try {
        readSync(fd, counter, 0, 8, null);
      } catch (error) {
        if (errnoOf(error) === 'EAGAIN') return 0;
        throw hostError('eventfd', 'read', error);
      }
      return Number(new DataView(counter.buffer).getBigUint64(0, true));
    },
    whenReadable(fd, ready) {
      let waiting = true;
      const handle = koffi.node.poll(fd, { readable: true }, () => {
        if (!waiting) return;
        stop();
        // Promise jobs are not run after this callback on newer Node until something else wakes the loop: hop first.
        setImmediate(ready);
      });
      const stop = (): void => {
        if (!waiting) return;
        waiting = false;
        handle.close();
      };
      return stop;
    },
    interruptAfter(seconds) {
      // The signal must have a handler, or it would end the process; there is nothing for the handler to do.
      const nothing = (): void => {};
      process.on('SIGALRM', nothing);
      alarm(seconds);
      return () => {
        alarm(0);
        process.off('SIGALRM', nothing);
      };
    },
  };
}

function call<T>(name: string, run: () => T): T {
  try {
    return run();
  } catch (error) {
    throw hostError(name, 'transfer', error);
  }
}
