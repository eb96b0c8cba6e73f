import { constants } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { entry, reservedBytes, u32, u64, viewOf } from '../../bits/index.ts';
import { HostError } from '../host.ts';
import type { Ioctl, Sys } from './sys.ts';

/** Linux include/uapi/linux/kvm.h: `_IO(0xae, n)`, or with the size of the structure. */
const KVM = {
  GET_API_VERSION: { name: 'KVM_GET_API_VERSION', number: 0xae00 },
  CREATE_VM: { name: 'KVM_CREATE_VM', number: 0xae01 },
  GET_VCPU_MMAP_SIZE: { name: 'KVM_GET_VCPU_MMAP_SIZE', number: 0xae04 },
  CREATE_VCPU: { name: 'KVM_CREATE_VCPU', number: 0xae41 },
  SET_USER_MEMORY_REGION: { name: 'KVM_SET_USER_MEMORY_REGION', number: 0x4020_ae46 },
  RUN: { name: 'KVM_RUN', number: 0xae80 },
  SET_REGS: { name: 'KVM_SET_REGS', number: 0x4090_ae82 },
  GET_SREGS: { name: 'KVM_GET_SREGS', number: 0x8138_ae83 },
  SET_SREGS: { name: 'KVM_SET_SREGS', number: 0x4138_ae84 },
} as const satisfies Record<string, Ioctl>;

const KVM_API_VERSION = 12;
const KVM_EXIT_HLT = 5;
/** Offset of `exit_reason` in struct kvm_run. */
const EXIT_REASON = 8;
const SREGS_BYTES = 0x138;
const REGS_BYTES = 0x90;
const HLT = 0xf4;
/** Seconds that one instruction may take: KVM_RUN blocks this process, and a broken KVM would block it for good. */
const RUN_LIMIT = 5;

const MemoryRegion = entry(
  'kvm_userspace_memory_region',
  { source: 'Linux include/uapi/linux/kvm.h', bits: 256 },
  {
    slot: u32(0, 'Number of the region'),
    flags: u32(4, 'Flags'),
    guest_phys_addr: u64(8, 'Where the guest sees it'),
    memory_size: u64(16, 'Bytes'),
    userspace_addr: u64(24, 'Where it is in the process'),
  },
);
/** The part of struct kvm_regs that starts a guest: 16 registers, then these two. */
const Regs = entry(
  'kvm_regs',
  { source: 'Linux arch/x86/include/uapi/asm/kvm.h', bits: REGS_BYTES * 8 },
  { general: reservedBytes(0, 128), rip: u64(128, 'Instruction pointer'), rflags: u64(136, 'Flags') },
);

/**
 * Whether KVM can run a guest, found by running one: a virtual machine with one page, one processor, one `hlt`. The file alone
 * proves nothing, and neither does the run: a KVM without the processor's help can do the `hlt` and still boot no kernel.
 */
export async function probeKvm(sys: () => Promise<Sys>): Promise<{ usable: boolean; because: string }> {
  const no = (because: string): { usable: boolean; because: string } => ({ usable: false, because });
  if (process.arch !== 'x64') return no(`this processor is ${process.arch}, the guests are x86-64`);
  try {
    const ran = runHalt(await sys());
    if (ran !== undefined) return no(ran);
  } catch (error) {
    if (!(error instanceof HostError)) throw error;
    if (error.subject === '/dev/kvm' && error.errno === 'ENOENT') return no('/dev/kvm is not there: no KVM module is loaded');
    if (error.subject === '/dev/kvm' && error.errno === 'EACCES') return no('this user may not open /dev/kvm');
    if (error.errno === 'EINTR') return no(`a guest of one hlt had not halted after ${RUN_LIMIT} seconds`);
    return no(error.message);
  }
  const feature = await virtualization();
  if (feature === undefined)
    return no(
      'a guest of one instruction ran, but the processor shows neither vmx nor svm in /proc/cpuinfo: this KVM works without ' +
        'hardware virtualization and cannot boot an ordinary kernel',
    );
  return { usable: true, because: `a guest of one instruction ran, and the processor has ${feature}` };
}

async function virtualization(): Promise<string | undefined> {
  const cpuinfo = await readFile('/proc/cpuinfo', 'utf8').catch(() => '');
  return /^flags\s*:.*?\b(vmx|svm)\b/m.exec(cpuinfo)?.[1];
}

/** Runs the guest. @returns why it did not do as it should, or undefined when it halted */
function runHalt(sys: Sys): string | undefined {
  const deadline = Date.now() + RUN_LIMIT * 1000;
  // A signal, such as that of a child that ended, interrupts KVM_CREATE_VM and KVM_RUN: only the limit itself ends the attempt.
  const ioctl: Sys['ioctl'] = (fd, request, argument) => {
    for (;;) {
      try {
        return sys.ioctl(fd, request, argument);
      } catch (error) {
        if (!(error instanceof HostError) || error.errno !== 'EINTR' || Date.now() >= deadline) throw error;
      }
    }
  };
  const closers: (() => void)[] = [];
  const opened = (fd: number): number => {
    closers.unshift(() => sys.close(fd));
    return fd;
  };
  try {
    const kvm = opened(sys.open('/dev/kvm', constants.O_RDWR));
    const version = ioctl(kvm, KVM.GET_API_VERSION, 0);
    if (version !== KVM_API_VERSION) return `/dev/kvm speaks version ${version} of the interface, not ${KVM_API_VERSION}`;
    const vm = opened(ioctl(kvm, KVM.CREATE_VM, 0));
    const page = sys.anonymous(4096);
    closers.push(() => page.close()); // after the machine that runs in it
    page.write(0, Uint8Array.of(HLT));
    const region = MemoryRegion.encode({ memory_size: BigInt(page.bytes), userspace_addr: BigInt(page.address) });
    ioctl(vm, KVM.SET_USER_MEMORY_REGION, region);
    const vcpu = opened(ioctl(vm, KVM.CREATE_VCPU, 0));
    const run = sys.map(vcpu, 0, ioctl(kvm, KVM.GET_VCPU_MMAP_SIZE, 0));
    closers.unshift(() => run.close());

    // After reset CS lies at the top of memory; with base and selector 0 the first byte of the page is the first instruction.
    const sregs = new Uint8Array(SREGS_BYTES);
    ioctl(vcpu, KVM.GET_SREGS, sregs);
    viewOf(sregs).setBigUint64(0, 0n, true); // cs.base
    viewOf(sregs).setUint16(12, 0, true); // cs.selector
    ioctl(vcpu, KVM.SET_SREGS, sregs);
    ioctl(vcpu, KVM.SET_REGS, Regs.encode({ rip: 0n, rflags: 2n })); // bit 1 of the flags is always set
    const cancel = sys.interruptAfter(RUN_LIMIT);
    try {
      ioctl(vcpu, KVM.RUN, 0);
    } finally {
      cancel();
    }
    const exit = run.read32(EXIT_REASON);
    return exit === KVM_EXIT_HLT ? undefined : `a guest of one hlt left KVM_RUN with exit reason ${exit}, not ${KVM_EXIT_HLT}`;
  } finally {
    for (const close of closers) close();
  }
}
