import { derive, type Fact, integerOf, isKnown, judge, textOf } from './facts.ts';
import type { Requirement } from './requirement.ts';
import { CPUS, sysctlOf } from './xrd-host.ts';

// What is around the container: Docker, xr-compose, and the boot options of the vendor's image for Amazon.
// Source: ios-xr/xrd-tools scripts/host-check at d524705, DOCKER_CHECKS, XR_COMPOSE_CHECKS, VROUTER_AWS_CHECKS.

const BRIDGE = ['/proc/sys/net/bridge/bridge-nf-call-iptables', '/proc/sys/net/bridge/bridge-nf-call-ip6tables'];
const CMDLINE = '/proc/cmdline';
/** Options with their values; null where any value will do. */
const BOOT: Readonly<Record<string, string | null>> = {
  nohz: 'on',
  skew_tick: '1',
  intel_pstate: 'disable',
  tsc: 'reliable',
  nosoftlockup: null,
  hugepagesz: '1G',
  default_hugepagesz: '1G',
  irqaffinity: null,
  hugepages: null,
};
/** These name the same processors. */
const ISOLATING = ['isolcpus', 'nohz_full', 'rcu_nocbs'];
/** No machine that Linux runs on has more (NR_CPUS). */
const MOST_CPUS = 8192;

/** A program of at least some version. One that is not there is no answer left open. */
function program(
  name: string,
  what: string,
  version: (facts: Parameters<Requirement['judge']>[0]) => Fact<string>,
  least: [number, number],
  after: string[],
): Requirement {
  return {
    name,
    asks: `Is ${what} ${least.join('.')} or later there?`,
    ...(after.length === 0 ? {} : { after }),
    judge: (facts) => {
      const found = version(facts);
      if (!isKnown(found) && found.missing === 'absent')
        return {
          is: 'fail',
          because: found.because,
          seen: [{ where: found.where, text: 'absent' }],
          fix: [`install or start ${what}`],
        };
      return judge(
        derive(found, (text) => /^(\d{1,6})\.(\d{1,6})/.exec(text) ?? undefined, 'a version'),
        ([text, major, minor]) => {
          const enough = Number(major) > least[0] || (Number(major) === least[0] && Number(minor) >= least[1]);
          return enough
            ? { is: 'pass', because: text }
            : { is: 'fail', because: `${text}, and ${least.join('.')} is the least`, fix: [`install a later ${what}`] };
        },
      );
    },
  };
}

export const DOCKER: readonly Requirement[] = [
  program('Docker client', 'the Docker client', (facts) => facts.dockerClient, [18, 0], []),
  program('Docker daemon', 'the Docker daemon', (facts) => facts.dockerDaemon, [18, 0], ['Docker client']),
  {
    name: 'Docker supports d_type',
    asks: 'Does the file system of Docker tell the types of directory entries?',
    after: ['Docker daemon'],
    judge: ({ dType }) =>
      judge(dType, (told) =>
        told
          ? { is: 'pass', because: 'it does' }
          : { is: 'fail', because: 'it does not', fix: ['make the file system anew: xfs with ftype=1, or ext4'] },
      ),
  },
];

export const XR_COMPOSE: readonly Requirement[] = [
  program('docker-compose', 'docker-compose', (facts) => facts.dockerCompose, [1, 18], []),
  {
    name: 'PyYAML',
    asks: 'Has Python the package yaml?',
    judge: ({ pyYaml }) =>
      judge(pyYaml, (there) =>
        there ? { is: 'pass', because: 'it has' } : { is: 'fail', because: 'it has not', fix: ['install python3-yaml'] },
      ),
  },
  {
    name: 'Bridge iptables',
    asks: 'Do frames of bridges stay out of iptables?',
    judge: (facts) => {
      const seen = [];
      for (const path of BRIDGE) {
        const answer = judge(integerOf(textOf(facts, path)), (value) =>
          value === 0
            ? { is: 'pass', because: 'they do' }
            : {
                is: 'fail',
                because: `${sysctlOf(path)} is ${value}`,
                fix: BRIDGE.map((each) => `sysctl -w ${sysctlOf(each)}=0`),
              },
        );
        seen.push(...answer.seen);
        if (answer.is !== 'pass') return { ...answer, seen };
      }
      return { is: 'pass', because: 'they do', seen };
    },
  },
];

/** Processors of a list such as `2-3,6`; undefined when it is none. Source: Linux Documentation/admin-guide/kernel-parameters.rst. */
export function parseCpuList(text: string): Set<number> | undefined {
  const cpus = new Set<number>();
  for (const part of text.split(',')) {
    const [, first, last] = /^(\d{1,5})(?:-(\d{1,5}))?$/.exec(part) ?? [];
    if (first === undefined || Number(last ?? first) >= MOST_CPUS) return undefined;
    for (let cpu = Number(first); cpu <= Number(last ?? first); cpu++) cpus.add(cpu);
  }
  return cpus;
}

export const XRD_VROUTER_AWS: readonly Requirement[] = [
  {
    name: 'Cmdline arguments',
    asks: 'Was it booted with the options of the vendor’s image for Amazon?',
    judge: (facts) => judge(textOf(facts, CMDLINE), judgeCmdline),
  },
];

function judgeCmdline(text: string): { is: 'pass' | 'fail' | 'unknown'; because: string; fix?: string[] } {
  const words = text
    .trim()
    .split(/\s+/)
    .map((word): [string, string] => {
      const equals = word.indexOf('=');
      return equals < 0 ? [word, ''] : [word.slice(0, equals), word.slice(equals + 1)];
    });
  const given = new Map(words);
  const missing = [...Object.keys(BOOT), ...ISOLATING].filter((name) => !given.has(name));
  const wrong = Object.entries(BOOT).filter(([name, value]) => value !== null && given.has(name) && given.get(name) !== value);
  const fix = [...wrong, ...missing.map((name) => [name, BOOT[name] ?? null] as const)].map(([name, value]) =>
    value === null ? `boot with ${name}` : `boot with ${name}=${value}`,
  );
  if (missing.length > 0) return { is: 'fail', because: `booted without ${missing.join(', ')}`, fix };
  if (wrong.length > 0)
    return {
      is: 'fail',
      because: wrong.map(([name, value]) => `${name} is ${given.get(name)} and not ${value}`).join(', '),
      fix,
    };
  const lists = new Set(ISOLATING.map((name) => given.get(name)));
  if (lists.size > 1)
    return {
      is: 'fail',
      because: `${ISOLATING.map((name) => `${name}=${given.get(name)}`).join(' ')} should name the same processors`,
    };
  const isolated = parseCpuList(given.get('isolcpus') ?? '');
  const interrupted = parseCpuList(given.get('irqaffinity') ?? '');
  if (isolated === undefined || interrupted === undefined)
    return {
      is: 'unknown',
      because: `isolcpus=${given.get('isolcpus')} or irqaffinity=${given.get('irqaffinity')} is no list of processors`,
    };
  const both = [...isolated].filter((cpu) => interrupted.has(cpu));
  if (both.length > 0)
    return { is: 'fail', because: `processors ${both.join(', ')} are isolated and get interrupts (irqaffinity)` };
  if (isolated.size < CPUS) return { is: 'fail', because: `${isolated.size} isolated processors of at least ${CPUS}` };
  return { is: 'pass', because: `all are there; processors ${given.get('isolcpus')} are isolated` };
}

/** Files whose text the requirements above ask for. */
export const AROUND_TEXTS: readonly string[] = [...BRIDGE, CMDLINE];
