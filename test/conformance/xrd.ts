import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Answer, Cgroups, Fact, Facts, ModuleFacts } from '../../src/check/appliances/facts.ts';
import { derive } from '../../src/check/appliances/facts.ts';
import { judgeRequirements } from '../../src/check/appliances/requirement.ts';
import { XRD_GROUPS, XRD_MODULES, XRD_TEXTS } from '../../src/check/appliances/xrd.ts';
import { type ConformanceSet, partOf, Tally } from './set.ts';

/** What the vendor's checker was told in one of its own tests, and what it said. */
interface Vector {
  test: string;
  group: string;
  check: string;
  commands: Said[];
  files: (Said & { path: string })[];
  failedDeps: string[];
  mocks: Readonly<Record<string, { returns?: unknown; error?: string }>>;
  expected: string;
}
/** A text, the name of a Python exception, or never asked. */
interface Said {
  cmd?: string;
  text?: string;
  error?: string;
  notRun?: boolean;
}

/** Our words for the vendor's states. */
const STATES: Readonly<Record<string, Answer['is']>> = {
  SUCCESS: 'pass',
  NEUTRAL: 'note',
  WARNING: 'warn',
  FAILED: 'fail',
  ERROR: 'unknown',
  SKIPPED: 'skipped',
};
/** The exceptions of a command that ran and failed. */
const COMMAND_FAILED = ['SubprocessError', 'CalledProcessError', 'TimeoutExpired'];
/** The recorder kept no exit code of `subprocess.run`: what is left is that the command was run, and two outcomes have the same record. */
const LOST = 'Mock';

/** Output of a command or text of a file. @param absent exceptions which are an answer: there is no such thing */
function fact(where: string, said: Said | undefined, absent: readonly string[]): Fact<string> {
  if (said?.text !== undefined) return { where, value: said.text };
  const because = said?.error ?? 'not asked';
  return { where, missing: said?.error === undefined || absent.includes(because) ? 'absent' : 'unreadable', because };
}

function factsOf({ commands, files, mocks }: Vector): Facts {
  const run = (cmd: string, absent: readonly string[] = COMMAND_FAILED): Fact<string> =>
    fact(
      cmd,
      commands.find((command) => command.cmd === cmd),
      absent,
    );
  /** Whether a command succeeds. */
  const succeeds = (cmd: string): Fact<boolean> => {
    const said = run(cmd);
    if ('missing' in said && said.missing === 'unreadable') return said;
    return { where: cmd, value: 'value' in said };
  };
  const file = (path: string) =>
    fact(
      path,
      files.find((one) => one.path === path),
      ['FileNotFoundError'],
    );
  const module = (name: string): ModuleFacts => ({
    loaded: succeeds(`lsmod | grep -q '^${name.replaceAll('-', '_')} '`),
    builtin: succeeds(`grep -q /${name}.ko /lib/modules/*/modules.builtin`),
    installed: succeeds(`grep -q /${name}.ko /lib/modules/*/modules.*`),
    parameters: derive(
      run(`modinfo --field parm ${name.replaceAll('-', '_')}`),
      (text) => [...text.matchAll(/^(\w+):/gm)].map((match) => match[1]!),
      'parameters',
    ),
  });
  const mocked = <T>(name: string, where: string, make: (value: unknown) => T): Fact<T> => {
    const mock = mocks[name];
    if (mock?.error !== undefined) return { where, missing: 'unreadable', because: mock.error };
    return mock === undefined ? { where, missing: 'absent', because: 'not asked' } : { where, value: make(mock.returns) };
  };
  const texts = Object.fromEntries(XRD_TEXTS.map((path) => [path, file(path)]));
  if (mocks['os.path.exists']?.returns === true)
    for (const path of XRD_TEXTS) if (path.endsWith('cpu.rt_runtime_us')) texts[path] = { where: path, value: '0' };
  const version = (text: Fact<string>, pattern: RegExp) => derive(text, (said) => pattern.exec(said.trim())?.[1]);
  // The first of the two that can be run at all.
  const absent = [...COMMAND_FAILED, 'FileNotFoundError'];
  const plugin = run('docker compose version', absent);
  const compose = 'missing' in plugin && plugin.missing === 'absent' ? run('docker-compose --version', absent) : plugin;
  return {
    architecture: run('uname -m', []),
    release: run('uname -r', []),
    cpus: derive(run('lscpu', []), (text) => {
      const count = /CPU\(s\):\s+(\d+)\s/.exec(text)?.[1];
      return count === undefined ? undefined : Number(count);
    }),
    flags: derive(run('lscpu', []), (text) => /Flags:\s+(.+)/.exec(text)?.[1]?.split(' ')),
    available: derive(run('free -b', []), (text) => {
      const last = text.split('\n')[1]?.trim().split(/\s+/).at(-1) ?? '';
      return /^\d+$/.test(last) ? Number(last) : undefined;
    }),
    cgroups: cgroupsOf(commands, files, mocks),
    amazonLinux: mocked('is_amazon_linux', '/etc/system-release-cpe', (value) => value === true),
    modules: Object.fromEntries(XRD_MODULES.map((name) => [name, module(name)])),
    texts,
    behindUnits: mocked('glob.glob', '/sys/class/iommu', (value) => value as string[]),
    networkFunctions: derive(run('lshw -businfo -c network', []), (text) =>
      [...text.matchAll(/pci@([\da-f]{4}:[\da-f]{2}:[\da-f]{2}\.[\da-f])\s+(\S+)/g)].map(([, bdf, name]) => ({
        bdf: bdf!,
        name: name!,
      })),
    ),
    dockerClient: version(run('docker --version', absent), /^Docker version (\d+\.\d+(?:\.\d+)?)/),
    dockerDaemon: version(run("docker version -f '{{json .Server.Version}}'"), /^"(\d+\.\d+(?:\.\d+)?)(?:\+.*)?"/),
    dockerCompose: version(compose, /^(?:docker-compose|Docker Compose) version v?(\d+\.\d+(?:\.\d+)?)/),
    dType: derive(run('docker info', []), (text) => text.includes('Supports d_type: true')),
    pyYaml: { where: 'import yaml', value: !Object.values(mocks).some(({ error }) => /Import|ModuleNotFound/.test(error ?? '')) },
  };
}

/** Mounts by the findmnt commands. */
function cgroupsOf(commands: Vector['commands'], files: Vector['files'], mocks: Vector['mocks']): Fact<Cgroups> {
  const where = '/sys/fs/cgroup';
  const told = mocks._get_cgroup_version;
  if (told?.error !== undefined) return { where, missing: 'unreadable', because: told.error };
  if (told !== undefined)
    return { where, value: { unified: told.returns === 2, hierarchies: told.returns === 2 ? [] : ['cpu'] } };
  const mounts = commands.flatMap((command) => {
    const [, path, type] = /^findmnt (\S+) -t (\S+)$/.exec(command.cmd ?? '') ?? [];
    return path === undefined ? [] : [{ path, type, ...command }];
  });
  const failed = mounts.find(({ error }) => error !== undefined);
  if (failed !== undefined) return { where, missing: 'unreadable', because: failed.error! };
  const controllers = files.find(({ path }) => path === `${where}/cgroup.controllers`);
  if (controllers?.error !== undefined) return { where, missing: 'unreadable', because: controllers.error };
  const found = mounts.filter(({ type, notRun }) => type === 'cgroup' && notRun !== true);
  return {
    where,
    value: { unified: (controllers?.text ?? '') !== '', hierarchies: found.map(({ path }) => path.slice(where.length + 1)) },
  };
}

/** Undefined when we say what the vendor's checker said. */
export function compareVector(vector: Vector): string | undefined {
  const requirement = XRD_GROUPS[vector.group]?.find(({ name }) => name === vector.check);
  if (requirement === undefined) return `no requirement of ${vector.group} has this name`;
  const before = Object.fromEntries(vector.failedDeps.map((name) => [name, 'fail' as const]));
  const answer = judgeRequirements([requirement], factsOf(vector), before)[0]!;
  if (answer.is === STATES[vector.expected]) return undefined;
  return `expected ${vector.expected}, we say ${answer.is}: ${answer.because}`;
}

export const XRD: ConformanceSet = {
  name: 'xrd',
  run(folder) {
    const part = partOf(folder, 'xrd');
    if (part === undefined) return undefined;
    const files = readdirSync(part).filter((name) => /vectors.*\.json$/.test(name));
    if (files.length === 0) return undefined;
    const tally = new Tally();
    for (const name of files.sort())
      for (const vector of JSON.parse(readFileSync(join(part, name), 'utf8')) as Vector[]) {
        const what = `${vector.group}, ${vector.check}, ${vector.test}`;
        if (vector.commands.some(({ error }) => error === LOST))
          tally.leaveOut(what, 'exit codes of its commands were not recorded');
        else tally.add(what, compareVector(vector));
      }
    return tally;
  },
};
