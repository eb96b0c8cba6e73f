import type { Host } from '../../host/host.ts';
import type { Picture } from '../../host/picture.ts';
import { type Cgroups, derive, type Fact, type Facts, type ModuleFacts } from './facts.ts';
import { readDocker } from './read-docker.ts';
import { parseMounts, readExists, readFact, readNames } from './read-fact.ts';
import { XRD_MODULES, XRD_TEXTS } from './xrd.ts';

/** Base class of the class code. */
const NETWORK = 2;
const CGROUP = '/sys/fs/cgroup';
const CPE = '/etc/system-release-cpe';

/** Reads the facts that appliances are judged by. Runs no program. */
export async function readFacts(host: Host, picture: Picture): Promise<Facts> {
  const [release, cpuinfo, meminfo, mounts, cpe, controllers] = await Promise.all(
    [
      '/proc/sys/kernel/osrelease',
      '/proc/cpuinfo',
      '/proc/meminfo',
      '/proc/self/mountinfo',
      CPE,
      `${CGROUP}/cgroup.controllers`,
    ].map((path) => readFact(host, path)),
  );
  const [texts, modules] = await Promise.all([
    Promise.all(XRD_TEXTS.map(async (path) => [path, await readFact(host, path)] as const)),
    readModules(host, picture),
  ]);
  return {
    architecture: await readArchitecture(host, cpuinfo!),
    release: release!,
    cpus: derive(cpuinfo!, (text) => text.match(/^processor\s*:/gm)?.length, 'processors'),
    flags: derive(cpuinfo!, (text) => /^(?:flags|Features)\s*:\s*(.*)$/m.exec(text)?.[1]?.trim().split(/\s+/), 'flags'),
    available: derive(meminfo!, (text) => kibibytes(/^MemAvailable:\s*(\d{1,15}) kB$/m.exec(text)?.[1]), 'MemAvailable'),
    cgroups: await readCgroups(host, mounts!, 'value' in controllers! && controllers.value.trim() !== ''),
    amazonLinux:
      'missing' in cpe! && cpe.missing === 'absent'
        ? { where: CPE, value: false }
        : derive(cpe!, (text) => /^cpe:.*:o:amazon:amazon_linux/.test(text.trim()), 'a CPE'),
    modules,
    texts: Object.fromEntries(texts),
    behindUnits: { where: '/sys/class/iommu/*/devices', value: picture.units.flatMap((unit) => unit.devices) },
    networkFunctions: {
      where: '/sys/bus/pci/devices/*/class',
      value: picture.functions
        .filter((found) => found.class >> 16 === NETWORK)
        .map(({ bdf, interfaces, driver }) => ({ bdf, name: interfaces.join('+') || (driver ?? '') })),
    },
    ...(await readDocker(host, mounts!)),
    pyYaml: await readPyYaml(host),
  };
}

function kibibytes(text: string | undefined): number | undefined {
  return text === undefined ? undefined : Number(text) * 1024;
}

/** The kernel tells since 6.1; before that the processor does, as far as it can. */
async function readArchitecture(host: Host, cpuinfo: Fact<string>): Promise<Fact<string>> {
  const told = await readFact(host, '/proc/sys/kernel/arch');
  if ('value' in told) return told;
  return derive(
    cpuinfo,
    (text) => {
      // `lm` is long mode: only a 64-bit kernel is what anybody runs on it today.
      if (/^flags\s*:.*\blm\b/m.test(text)) return 'x86_64';
      if (/^flags\s*:/m.test(text)) return 'i686';
      return /^CPU implementer\s*:/m.test(text) ? 'aarch64' : undefined;
    },
    'flags',
  );
}

/** Modules of the running kernel: those of another kernel in /lib/modules would be of no use. */
async function readModules(host: Host, picture: Picture): Promise<Record<string, ModuleFacts>> {
  const folder = `/lib/modules/${picture.system.kernel}`;
  const [dependencies, builtins] = await Promise.all([
    readFact(host, `${folder}/modules.dep`),
    readFact(host, `${folder}/modules.builtin`),
  ]);
  const inside = (list: Fact<string>, name: string) => derive(list, (text) => text.includes(`/${name}.ko`), 'modules');
  const read = async (name: string): Promise<readonly [string, ModuleFacts]> => {
    const kernelName = name.replaceAll('-', '_');
    const at = `/sys/module/${kernelName}/parameters`;
    // A kernel without lists of modules still shows the PCI drivers that it has.
    const driver = `/sys/bus/pci/drivers/${name}`;
    const registered = await readExists(host, driver);
    const known = 'value' in builtins! && !('value' in registered && registered.value);
    const builtin = known ? inside(builtins, name) : registered;
    return [
      name,
      {
        loaded: { where: '/proc/modules', value: picture.system.modules.includes(kernelName) },
        builtin,
        installed: 'value' in builtin && builtin.value ? builtin : inside(dependencies, name),
        parameters: absentIs([], await readNames(host, at)),
      },
    ];
  };
  return Object.fromEntries(await Promise.all(XRD_MODULES.map(read)));
}

/** Which hierarchies are mounted below /sys/fs/cgroup. `cpu` is often a link to the mount `cpu,cpuacct`. */
async function readCgroups(host: Host, mounts: Fact<string>, hasControllers: boolean): Promise<Fact<Cgroups>> {
  const places = derive(mounts, parseMounts, 'mounts');
  if ('missing' in places) return places;
  const hierarchies = new Set(
    places.value
      .filter(({ at, type }) => type === 'cgroup' && at.startsWith(`${CGROUP}/`))
      .map(({ at }) => at.slice(CGROUP.length + 1)),
  );
  const names = hierarchies.size === 0 ? undefined : await readNames(host, CGROUP);
  for (const name of names !== undefined && 'value' in names ? names.value : []) {
    const target = await host.files.link(`${CGROUP}/${name}`);
    if (target !== undefined && hierarchies.has(target)) hierarchies.add(name);
  }
  const unified = hasControllers && places.value.some(({ at, type }) => type === 'cgroup2' && at === CGROUP);
  return { where: mounts.where, value: { unified, hierarchies: [...hierarchies] } };
}

/** The package in the folders where distributions put packages of Python. */
async function readPyYaml(host: Host): Promise<Fact<boolean>> {
  const folders = ['/usr/lib/python3/dist-packages', '/usr/local/lib/python3/dist-packages'];
  for (const lib of ['/usr/lib', '/usr/lib64', '/usr/local/lib']) {
    const names = await readNames(host, lib);
    for (const name of 'value' in names ? names.value : [])
      if (/^python3\.\d+$/.test(name)) folders.push(`${lib}/${name}/site-packages`, `${lib}/${name}/dist-packages`);
  }
  const found = await Promise.all(folders.map((folder) => readExists(host, `${folder}/yaml`)));
  return (
    found.find((fact) => 'value' in fact && fact.value) ??
    found.find((fact) => 'missing' in fact) ?? { where: folders.join(', '), value: false }
  );
}

/** A folder that is not there has nothing in it. */
function absentIs<T>(value: T, fact: Fact<T>): Fact<T> {
  return 'missing' in fact && fact.missing === 'absent' ? { where: fact.where, value } : fact;
}
