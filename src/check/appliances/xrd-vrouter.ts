import { type Answer, derive, evidence, type Facts, integerOf, isKnown, judge, type Known, textOf } from './facts.ts';
import type { Requirement } from './requirement.ts';
import { inKernel, sysctlOf } from './xrd-host.ts';

// What XRd vRouter and XRd Control Plane ask on top. Source: ios-xr/xrd-tools scripts/host-check at d524705,
// VROUTER_CHECKS, CONTROL_PLANE_CHECKS.

const GIB = 2 ** 30;
const MIB = 2 ** 20;
const INSTRUCTIONS = ['ssse3', 'sse4_1', 'sse4_2'];
const HUGEPAGES = 3 * GIB;
const SHARED_MEMORY = 2 * GIB;
const MEMINFO = '/proc/meminfo';
const SHMMAX = '/proc/sys/kernel/shmmax';
export const NO_IOMMU = '/sys/module/vfio/parameters/enable_unsafe_noiommu_mode';
const RT_RUNTIME = '/proc/sys/kernel/sched_rt_runtime_us';
const RT_GROUP = { v1: '/sys/fs/cgroup/cpu/cpu.rt_runtime_us', v2: '/sys/fs/cgroup/cpu.rt_runtime_us' };
/** Drivers through which DPDK reaches a function, the preferred one first. */
const DRIVERS = ['vfio-pci', 'igb_uio'];

const gib = (bytes: number) => `${(bytes / GIB).toFixed(1)} GiB`;

/** Memory that each container may use. */
export function memoryRequirement(bytes: number): Requirement {
  return {
    name: 'RAM',
    asks: `Is ${gib(bytes)} of memory free?`,
    judge: ({ available }) =>
      judge(available, (free) =>
        free < bytes
          ? { is: 'warn', because: `${gib(free)} without swap, and a container uses ${gib(bytes)}` }
          : { is: 'pass', because: `${gib(free)}, enough for ${Math.floor(free / bytes)} containers` },
      ),
  };
}

/** Hugepages of the default size, as meminfo tells them; undefined when a line is missing or odd. */
export function parseHugepages(meminfo: string): { total: number; free: number; size: number } | undefined {
  const line = (name: string) => new RegExp(`^Huge[^:\n]*${name}[^:\n]*:[ \t]*(\\d{1,15})[ \t]*(kB|MB|GB)?`, 'm').exec(meminfo);
  const [total, free, size] = [line('Total'), line('Free'), line('pagesize')];
  if (total === null) return undefined;
  // Where there are none the size does not matter.
  if (Number(total[1]) === 0) return { total: 0, free: 0, size: 0 };
  if (free === null || size?.[2] === undefined) return undefined;
  const unit = { kB: 1024, MB: MIB, GB: GIB }[size[2] as 'kB' | 'MB' | 'GB'];
  return { total: Number(total[1]), free: Number(free[1]), size: Number(size[1]) * unit };
}

/** Whether VFIO hands out functions without an IOMMU. A kernel that was built without that mode has no such parameter. */
export function withoutIommu(facts: Facts): boolean {
  const mode = textOf(facts, NO_IOMMU);
  return isKnown(mode) && ['Y', '1'].includes(mode.value.trim().toUpperCase());
}

const unknownDriver = (facts: Facts, name: string): Answer => ({
  is: 'unknown',
  because: `whether ${name} is in the kernel could not be read`,
  seen: [evidence(facts.modules[name]!.loaded), evidence(facts.modules[name]!.builtin)],
});

const interfaceDriver: Requirement = {
  name: 'Interface kernel driver',
  asks: 'Is vfio-pci or igb_uio there for DPDK to reach a network function?',
  judge: (facts) => {
    const states = DRIVERS.map((name) => ({
      name,
      used: inKernel(facts.modules[name]!),
      installed: facts.modules[name]!.installed,
    }));
    const odd = states.find(({ used, installed }) => used === undefined || (!used && !isKnown(installed)));
    if (odd !== undefined) return unknownDriver(facts, odd.name);
    const seen = states.map(({ name, used }) => ({ where: name, text: used ? 'in the kernel' : 'not in the kernel' }));
    const used = states.filter((state) => state.used).map(({ name }) => name);
    const idle = states.filter((state) => !state.used && (state.installed as Known<boolean>).value).map(({ name }) => name);
    const fix = idle.map((name) => `modprobe ${name}`);
    const said = (is: Answer['is'], because: string): Answer => ({ is, because, seen, ...(is === 'pass' ? {} : { fix }) });
    if (isKnown(facts.amazonLinux) && facts.amazonLinux.value) {
      if (used.includes('igb_uio')) return said('pass', `${used.join(' and ')} loaded`);
      if (idle.includes('igb_uio')) return said('note', 'igb_uio is installed but not loaded');
      return said('fail', 'Amazon Linux gives no IOMMU, and igb_uio is not installed');
    }
    if (used.length > 0)
      return idle.length === 0
        ? said('pass', `${used.join(' and ')} loaded`)
        : said('note', `${used.join(' and ')} loaded, ${idle.join(' and ')} only installed`);
    return said('fail', idle.length > 0 ? `${idle.join(' and ')} installed but not loaded` : 'neither is installed');
  },
};

const iommu: Requirement = {
  name: 'IOMMU',
  asks: 'Is there an IOMMU for vfio-pci?',
  after: [interfaceDriver.name],
  judge: (facts) => {
    const vfio = inKernel(facts.modules['vfio-pci']!);
    if (vfio === undefined) return unknownDriver(facts, 'vfio-pci');
    const seen = [evidence(textOf(facts, NO_IOMMU)), evidence(facts.behindUnits)];
    if (!vfio) return { is: 'note', because: 'vfio-pci is not used', seen };
    if (isKnown(facts.amazonLinux) && facts.amazonLinux.value)
      return { is: 'note', because: 'Amazon Linux gives no IOMMU', seen };
    const igb = inKernel(facts.modules.igb_uio!);
    if (igb === undefined) return unknownDriver(facts, 'igb_uio');
    // With igb_uio there is a way that needs no IOMMU.
    const is = igb ? 'note' : 'warn';
    const fix = ['give the machine an IOMMU: then a function can harm nothing but its owner'];
    if (withoutIommu(facts))
      return { is, because: 'VFIO is in no-IOMMU mode: a function can read and write all memory', seen, fix };
    if (!isKnown(facts.behindUnits)) return { is: 'unknown', because: facts.behindUnits.because, seen };
    if (facts.behindUnits.value.length === 0)
      return { is, because: 'no function is behind a remapping unit, so vfio-pci cannot be used', seen, fix };
    return { is: 'pass', because: `${facts.behindUnits.value.length} functions are behind a remapping unit`, seen };
  },
};

const pciDevices: Requirement = {
  name: 'PCI devices',
  asks: 'Is there a network function that DPDK can have?',
  after: [interfaceDriver.name],
  judge: (facts) => {
    const [vfio, igb] = DRIVERS.map((name) => inKernel(facts.modules[name]!));
    if (vfio === undefined) return unknownDriver(facts, 'vfio-pci');
    if (igb === undefined) return unknownDriver(facts, 'igb_uio');
    return judge(facts.networkFunctions, (functions) => {
      if (functions.length === 0) return { is: 'warn', because: 'there is no network function' };
      const needed = vfio && !igb && !withoutIommu(facts);
      const behind = isKnown(facts.behindUnits) ? facts.behindUnits.value : [];
      const usable = functions.filter(({ bdf }) => !needed || behind.includes(bdf));
      if (usable.length === 0)
        return { is: 'warn', because: 'no network function is behind a remapping unit, as vfio-pci needs' };
      return { is: 'pass', because: usable.map(({ bdf, name }) => `${bdf} ${name}`.trim()).join(', ') };
    });
  },
};

export const XRD_VROUTER: readonly Requirement[] = [
  {
    name: 'CPU extensions',
    asks: `Has the processor ${INSTRUCTIONS.join(', ')}?`,
    judge: ({ flags }) => {
      const answer = judge(flags, (names) => {
        const missing = INSTRUCTIONS.filter((name) => !names.includes(name));
        if (missing.length === 0) return { is: 'pass', because: 'it has all' };
        return {
          is: 'fail',
          because: `${missing.join(', ')} missing`,
          fix: ['give a guest the processor of its host (-cpu host)'],
        };
      });
      return { ...answer, seen: answer.seen.map(({ where }) => ({ where, text: answer.because })) };
    },
  },
  memoryRequirement(5 * GIB),
  {
    name: 'Hugepages',
    asks: 'Are 3 GiB of 1 GiB pages free?',
    judge: (facts) => {
      const meminfo = textOf(facts, MEMINFO);
      const lines = derive(meminfo, (text) => text.match(/^Huge.*$/gm)?.join('; ') ?? 'no line about hugepages', 'text');
      const answer = judge(
        derive(meminfo, parseHugepages, 'HugePages_Total, HugePages_Free and Hugepagesize'),
        ({ total, free, size }) => {
          const fix = ['boot with default_hugepagesz=1G hugepagesz=1G hugepages=3 or more'];
          if (total === 0) return { is: 'fail', because: 'there are none', fix };
          const because = `${free} of ${total} pages of ${size >= GIB ? `${size / GIB} GiB` : `${size / MIB} MiB`} are free`;
          if (free * size < HUGEPAGES) return { is: 'fail', because: `${because}: ${gib(free * size)} of at least 3 GiB`, fix };
          if (size === GIB) return { is: 'pass', because };
          if (size === 2 * MIB) return { is: 'warn', because: `${because}; pages of 2 MiB are for labs alone`, fix };
          return { is: 'fail', because: `${because}; pages of 1 GiB are needed`, fix };
        },
      );
      return { ...answer, seen: [evidence(lines)] };
    },
  },
  interfaceDriver,
  iommu,
  pciDevices,
  {
    name: 'Shared memory pages max size',
    asks: 'May a segment of shared memory have 2 GiB?',
    judge: (facts) =>
      judge(integerOf(textOf(facts, SHMMAX)), (most) =>
        most < SHARED_MEMORY
          ? { is: 'fail', because: `at most ${gib(most)}`, fix: [`sysctl -w ${sysctlOf(SHMMAX)}=${SHARED_MEMORY}`] }
          : { is: 'pass', because: most >= 2 ** 53 ? 'no limit' : `up to ${gib(most)}` },
      ),
  },
  {
    name: 'Real-time Group Scheduling',
    asks: 'Is real-time group scheduling off?',
    judge: (facts) => {
      const groups = facts.cgroups;
      if (!isKnown(groups)) return { is: 'unknown', because: groups.because, seen: [evidence(groups)] };
      const group = textOf(facts, groups.value.unified ? RT_GROUP.v2 : RT_GROUP.v1);
      if (!isKnown(group) && group.missing === 'absent')
        return { is: 'pass', because: 'the kernel is built without it', seen: [evidence(group)] };
      return judge(integerOf(textOf(facts, RT_RUNTIME)), (value) =>
        value === -1
          ? { is: 'pass', because: 'it is turned off' }
          : { is: 'fail', because: `${sysctlOf(RT_RUNTIME)} is ${value}`, fix: [`sysctl -w ${sysctlOf(RT_RUNTIME)}=-1`] },
      );
    },
  },
];

export const XRD_CONTROL_PLANE: readonly Requirement[] = [memoryRequirement(2 * GIB)];

/** Files whose text the requirements above ask for. */
export const XRD_VROUTER_TEXTS: readonly string[] = [MEMINFO, SHMMAX, NO_IOMMU, RT_RUNTIME, RT_GROUP.v1, RT_GROUP.v2];
