import { derive, evidence, firstMissing, integerOf, isKnown, judge, type ModuleFacts, textOf } from './facts.ts';
import type { Requirement } from './requirement.ts';

// What every XRd container asks of its host. Source: ios-xr/xrd-tools scripts/host-check at d524705, BASE_CHECKS.

export const CPUS = 2;
const INOTIFY = { each: 4000, recommended: 64_000 };
const CGROUP_V1 = ['systemd', 'memory', 'pids', 'cpu', 'cpuset'];
const CORE = '/proc/sys/net/core';
const SOCKETS: Readonly<Record<string, number>> = {
  [`${CORE}/netdev_max_backlog`]: 300_000,
  [`${CORE}/optmem_max`]: 67_108_864,
  [`${CORE}/rmem_default`]: 67_108_864,
  [`${CORE}/rmem_max`]: 67_108_864,
  [`${CORE}/wmem_default`]: 67_108_864,
  [`${CORE}/wmem_max`]: 67_108_864,
};
const UDP = { path: '/proc/sys/net/ipv4/udp_mem', least: [1_124_736, 10_000_000, 67_108_864] };
const CORE_PATTERN = '/proc/sys/kernel/core_pattern';
const ASLR = '/proc/sys/kernel/randomize_va_space';
const APPARMOR = '/sys/kernel/security/apparmor/profiles';
const SELINUX = '/etc/selinux/config';
/** Values that the vendor tested with. */
const PARAMETERS: Readonly<Record<string, Readonly<Record<string, readonly string[]>>>> = {
  'vfio-pci': { nointxmask: ['N'], disable_idle_d3: ['N'], enable_sriov: ['N'] },
  igb_uio: { intr_mode: ['msix', '(null)'] },
};

/** The sysctl of a file below /proc/sys. */
export function sysctlOf(path: string): string {
  return path.replace('/proc/sys/', '').replaceAll('/', '.');
}

/** Where a parameter of a module is. */
export function parameterPath(module: string, parameter: string): string {
  return `/sys/module/${module.replaceAll('-', '_')}/parameters/${parameter}`;
}

/** Whether a module can be used now. Unknown stays unknown. */
export function inKernel({ loaded, builtin }: ModuleFacts): boolean | undefined {
  if (isKnown(loaded) && loaded.value) return true;
  return isKnown(loaded) && isKnown(builtin) ? builtin.value : undefined;
}

function inotify(setting: string): Requirement {
  const path = `/proc/sys/fs/inotify/${setting}`;
  const fix = [`sysctl -w ${sysctlOf(path)}=${INOTIFY.recommended}, and the same in a file of /etc/sysctl.d`];
  return {
    name: `Inotify ${setting.replaceAll('_', ' ')}`,
    asks: `Is ${sysctlOf(path)} at least ${INOTIFY.each} for each container?`,
    judge: (facts) =>
      judge(integerOf(textOf(facts, path)), (value) => {
        const because = `${value} is enough for ${Math.max(0, Math.floor(value / INOTIFY.each))} containers`;
        if (value < INOTIFY.each) return { is: 'fail', because: `${value} is less than ${INOTIFY.each}`, fix };
        return value < INOTIFY.recommended
          ? { is: 'warn', because: `${because}; ${INOTIFY.recommended} is recommended`, fix }
          : { is: 'pass', because };
      }),
  };
}

export const XRD_HOST: readonly Requirement[] = [
  {
    name: 'CPU architecture',
    asks: 'Is it an x86_64 machine?',
    judge: ({ architecture }) =>
      judge(architecture, (name) =>
        name.trim() === 'x86_64'
          ? { is: 'pass', because: 'x86_64' }
          : { is: 'fail', because: `${name.trim()}, and XRd is built for x86_64 alone` },
      ),
  },
  {
    name: 'CPU cores',
    asks: `Are there ${CPUS} processors?`,
    judge: ({ cpus }) =>
      judge(cpus, (count) => ({ is: count < CPUS ? 'fail' : 'pass', because: `${count} of at least ${CPUS}` })),
  },
  {
    name: 'Kernel version',
    asks: 'Is the kernel 4.6 or later, and not that of RHEL 8.3?',
    judge: ({ release }) =>
      judge(
        derive(release, (text) => /^\s*(\d{1,6})\.(\d{1,6})/.exec(text) ?? undefined, 'a version'),
        ([, major, minor]) => {
          const text = isKnown(release) ? release.value : '';
          // RHEL backports what 4.6 brought; this one build has a defect of its own.
          if (text.includes('.el8') && text.includes('4.18.0-240.'))
            return {
              is: 'fail',
              because: 'the kernel of RHEL and CentOS 8.3 has a defect that XRd meets',
              fix: ['move to another release than 8.3'],
            };
          const recent = Number(major) > 4 || (Number(major) === 4 && Number(minor) >= 6);
          return { is: recent ? 'pass' : 'fail', because: `${major}.${minor}, and 4.6 is the least` };
        },
      ),
  },
  {
    name: 'Base kernel modules',
    asks: 'Are the modules dummy and nf_tables installed?',
    after: ['Kernel version'],
    judge: ({ modules }) => {
      const wanted = ['dummy', 'nf_tables'].map((name) => ({ name, installed: modules[name]!.installed }));
      const seen = wanted.map(({ installed }) => evidence(installed));
      const unread = firstMissing(...wanted.map(({ installed }) => installed));
      if (unread !== undefined) return { is: 'unknown', because: unread.because, seen };
      const missing = wanted.filter(({ installed }) => isKnown(installed) && !installed.value).map(({ name }) => name);
      if (missing.length === 0) return { is: 'pass', because: 'both are', seen };
      const fix = ['install the package of further modules that the distribution has for this kernel'];
      return { is: 'fail', because: `${missing.join(' and ')} not found in /lib/modules`, seen, fix };
    },
  },
  {
    name: 'Cgroups',
    asks: 'Are control groups mounted as XRd needs them?',
    judge: ({ cgroups }) =>
      judge(
        derive(
          cgroups,
          (value) => (value.unified || value.hierarchies.length > 0 ? value : undefined),
          'control groups with controllers',
        ),
        ({ unified, hierarchies }) => {
          if (unified) return { is: 'pass', because: 'version 2' };
          const missing = CGROUP_V1.filter((name) => !hierarchies.includes(name));
          if (missing.length === 0) return { is: 'pass', because: 'version 1 with all hierarchies' };
          const fix = missing.map(
            (name) =>
              `mkdir /sys/fs/cgroup/${name}; mount -t cgroup -o ${name === 'systemd' ? 'none,name=systemd' : name} cgroup /sys/fs/cgroup/${name}`,
          );
          return { is: 'fail', because: `version 1 without ${missing.join(', ')}`, fix };
        },
      ),
  },
  inotify('max_user_instances'),
  inotify('max_user_watches'),
  {
    name: 'Socket kernel parameters',
    asks: 'May sockets have the buffers that XR IPC needs in production?',
    judge: (facts) => {
      const values = Object.entries(SOCKETS).map(([path, least]) => ({ path, least, value: integerOf(textOf(facts, path)) }));
      const seen = values.map(({ value }) => evidence(value));
      const unread = firstMissing(...values.map(({ value }) => value));
      if (unread !== undefined) return { is: 'unknown', because: unread.because, seen };
      const low = values.filter(({ value, least }) => isKnown(value) && value.value < least);
      if (low.length === 0) return { is: 'pass', because: 'all are large enough', seen };
      return {
        is: 'warn',
        because: `${low.map(({ path }) => sysctlOf(path)).join(', ')} below the least for production`,
        seen,
        fix: low.map(({ path, least }) => `sysctl -w ${sysctlOf(path)}=${least}`),
      };
    },
  },
  {
    name: 'UDP kernel parameters',
    asks: 'May UDP use the memory that XR IPC needs in production?',
    judge: (facts) =>
      judge(
        derive(
          textOf(facts, UDP.path),
          (text) => {
            const values = text.trim().split(/\s+/);
            return values.length >= 3 && values.every((value) => /^\d{1,20}$/.test(value)) ? values.map(Number) : undefined;
          },
          'three numbers',
        ),
        (values) =>
          UDP.least.every((least, index) => values[index]! >= least)
            ? { is: 'pass', because: 'all three are large enough' }
            : {
                is: 'warn',
                because: `${values.join(' ')} is below the least for production, ${UDP.least.join(' ')}`,
                fix: [`sysctl -w ${sysctlOf(UDP.path)}='${UDP.least.join(' ')}'`],
              },
      ),
  },
  {
    name: 'Core pattern',
    asks: 'Who gets core files, the host or XR?',
    judge: (facts) => {
      const pattern = textOf(facts, CORE_PATTERN);
      const because = !isKnown(pattern)
        ? 'core_pattern could not be read'
        : `core files go to ${pattern.value.trimStart().startsWith('|') ? 'the host' : 'XR'}`;
      return { is: 'note', because, seen: [evidence(pattern)] };
    },
  },
  {
    name: 'ASLR',
    asks: 'Are addresses of programs random?',
    judge: (facts) =>
      judge(integerOf(textOf(facts, ASLR)), (value) =>
        value === 2
          ? { is: 'pass', because: 'fully' }
          : { is: 'warn', because: `${sysctlOf(ASLR)} is ${value}`, fix: [`sysctl -w ${sysctlOf(ASLR)}=2`] },
      ),
  },
  {
    name: 'Linux Security Modules',
    asks: 'Does AppArmor or SELinux stand in the way?',
    judge: (facts) => {
      const [profiles, selinux] = [textOf(facts, APPARMOR), textOf(facts, SELINUX)];
      const seen = [evidence(profiles), evidence(selinux)];
      // An absent file is a module that is not installed; one that may not be read is not known.
      for (const fact of [profiles, selinux])
        if (!isKnown(fact) && fact.missing === 'unreadable') return { is: 'unknown', because: fact.because, seen };
      const enforcing = isKnown(selinux) && selinux.value.split(/\r?\n/).includes('SELINUX=enforcing');
      const also = enforcing ? '; SELinux is enforced: run XRd with --security-opt label=disable' : '';
      if (!isKnown(profiles) || profiles.value === '')
        return { is: 'note', because: enforcing ? also.slice(2) : 'neither is on', seen };
      if (profiles.value.includes('xrd-unconfined'))
        return { is: 'note', because: `run XRd with --security-opt apparmor=xrd-unconfined, unprivileged${also}`, seen };
      return {
        is: 'fail',
        because: `AppArmor is on and has no profile xrd-unconfined${also}`,
        seen,
        fix: ['install the profile xrd-unconfined of ios-xr/xrd-tools and load it with apparmor_parser -r'],
      };
    },
  },
  {
    name: 'Kernel module parameters',
    asks: 'Have vfio-pci and igb_uio the parameters that the vendor tested with?',
    judge: (facts) => {
      const seen = [];
      const other: string[] = [];
      for (const [module, parameters] of Object.entries(PARAMETERS)) {
        const state = facts.modules[module]!;
        const used = inKernel(state);
        if (used === undefined)
          return { is: 'unknown', because: `whether ${module} is loaded could not be read`, seen: [evidence(state.loaded)] };
        if (!used) continue;
        if (!isKnown(state.parameters))
          return { is: 'unknown', because: state.parameters.because, seen: [evidence(state.parameters)] };
        for (const [name, tested] of Object.entries(parameters)) {
          // Some kernels are too old for a parameter, or were built without it.
          if (!state.parameters.value.includes(name)) continue;
          const value = textOf(facts, parameterPath(module, name));
          seen.push(evidence(value));
          if (!isKnown(value) && value.missing === 'unreadable') return { is: 'unknown', because: value.because, seen };
          if (!isKnown(value)) other.push(`${module} ${name} cannot be seen`);
          else if (!tested.includes(value.value.trim()))
            other.push(`${module} ${name} is ${value.value.trim()}, tested is ${tested.join(' or ')}`);
        }
      }
      if (other.length === 0) return { is: 'pass', because: 'those that are loaded have', seen };
      return { is: 'warn', because: other.join('; '), seen, fix: ['load the module without these options (/etc/modprobe.d)'] };
    },
  },
];

/** Files whose text the requirements above ask for. */
export const XRD_HOST_TEXTS: readonly string[] = [
  '/proc/sys/fs/inotify/max_user_instances',
  '/proc/sys/fs/inotify/max_user_watches',
  ...Object.keys(SOCKETS),
  UDP.path,
  CORE_PATTERN,
  ASLR,
  APPARMOR,
  SELINUX,
  ...Object.entries(PARAMETERS).flatMap(([module, names]) => Object.keys(names).map((name) => parameterPath(module, name))),
];
