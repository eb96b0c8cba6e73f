import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { chmod, mkdir, mkdtemp, readdir, readFile, rename, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { probeAbilities } from './abilities.ts';
import { type Apt, debianCodename, openApt } from './apt.ts';
import { type Download, megabytes, type Package } from './apt-text.ts';
import { LabError } from './errors.ts';
import { exec, hasProgram } from './exec.ts';
import { ensureImages, GUEST_INITRD, INITRD, inflateModules, ingredients } from './images.ts';
import { parseLdd } from './libraries.ts';
import { labsInUse } from './run-folder.ts';
import { type Flavour, FORMAT, type Lab, lockStore, publishLab, readLab, storeFolder } from './store.ts';
import { Unpacked } from './unpacked.ts';
import { wrapper } from './wrappers.ts';

const QEMU = ['qemu-system-x86', 'qemu-system-common', 'qemu-system-data', 'seabios', 'ipxe-qemu'];
const TOOLS = ['busybox-static', 'kmod', 'qemu-guest-agent'];
/** The C library and what is wired into the running system never come along: the programs here run on the system's own. */
const SYSTEM = /^lib(c6|nss-|pam-|systemd-shared)/;
/** Read by nobody here. */
const BALLAST = ['usr/share/doc', 'usr/share/man', 'usr/share/locale', 'usr/share/lintian'];
/** Drivers of devices that the machine cannot have: more than half of what a kernel's modules take. */
const FOREIGN = [
  'sound',
  'drivers/gpu',
  'drivers/media',
  'drivers/net/wireless',
  'drivers/staging',
  'drivers/iio',
  'drivers/bluetooth',
];
const KERNEL = /^linux-(image|binary|modules)-\d/;

/** The cached lab of a flavour, or undefined when none is complete. Needs no network. @throws LabError when it cannot be read */
export async function openLab(options: { flavour: Flavour }): Promise<Lab | undefined> {
  return ready(await readLab(storeFolder(), options.flavour));
}

/** A lab with the images of this version: an earlier one may have made others from the same packages. */
async function ready(lab: Lab | undefined): Promise<Lab | undefined> {
  if (lab !== undefined) await ensureImages(lab.folder, ingredients(join(lab.folder, 'root'), lab.release));
  return lab;
}

export interface LabStatus {
  /** Folder of everything the lab keeps. */
  store: string;
  labs: Lab[];
}

/** What is there. @throws LabError when it cannot be read */
export async function labStatus(): Promise<LabStatus> {
  const store = storeFolder();
  const labs: Lab[] = [];
  for (const flavour of ['backports', 'stock'] as const) {
    const lab = await readLab(store, flavour);
    if (lab !== undefined) labs.push(lab);
  }
  return { store, labs };
}

export interface SetupOptions {
  flavour: Flavour;
  progress: (line: string) => void;
  /** Look for newer packages although a lab is complete. */
  refresh?: boolean;
}

/**
 * The lab of a flavour, downloaded and built when there is none yet. Nothing of the system is installed or changed; a lab that is
 * complete needs no network. An interrupted set-up leaves no lab.
 * @throws LabError saying what is missing and what to do
 */
export async function setupLab(options: SetupOptions): Promise<Lab> {
  const store = storeFolder();
  const present = options.refresh ? undefined : await openLab(options);
  if (present !== undefined) return present;
  const codename = await debianCodename();
  const release = await lockStore(store, () => options.progress('another set-up is running: waiting for it'));
  let building: string | undefined;
  try {
    const meanwhile = options.refresh ? undefined : await openLab(options);
    if (meanwhile !== undefined) return meanwhile;
    for (const name of await readdir(store))
      if (name.startsWith('building-')) await rm(join(store, name), { recursive: true, force: true });
    const started = Date.now();
    const downloads = await choosePackages(store, await openApt(join(store, 'apt'), codename, options.flavour), options);
    const name = `${options.flavour}-${identity(downloads.chosen)}`;
    if (!existsSync(join(store, name, 'lab.json'))) {
      await fetchPackages(store, downloads.apt, downloads.chosen, options.progress);
      building = await mkdtemp(join(store, 'building-'));
      await build(building, store, options.flavour, downloads.chosen, options.progress);
      await rm(join(store, name), { recursive: true, force: true });
      await rename(building, join(store, name));
      building = undefined;
    }
    await publishLab(store, options.flavour, name);
    await tidy(store, options.flavour, name, downloads.chosen);
    const lab = await openLab(options);
    if (lab === undefined) throw new LabError(`${join(store, name)} vanished while it was set up`);
    options.progress(
      `ready in ${((Date.now() - started) / 1000).toFixed(1)} s: ${lab.abilities.version}, Linux ${lab.release}, ${megabytes(lab.bytes)} in ${lab.folder}`,
    );
    return lab;
  } finally {
    if (building !== undefined) await rm(building, { recursive: true, force: true });
    release();
  }
}

/** Names a set of packages and the way we build from it. */
function identity(packages: readonly Package[]): string {
  const lines = packages.map(({ name, version }) => `${name} ${version}`).sort();
  return createHash('sha256')
    .update([`format ${FORMAT}`, ...lines].join('\n'))
    .digest('hex')
    .slice(0, 12);
}

/**
 * The suite to take QEMU and the kernel from: backports only where the release's own QEMU has no igb. Its program is looked
 * into for the name of the device type; that says more than a version would.
 */
async function chooseSuite(store: string, apt: Apt, { flavour, progress }: SetupOptions): Promise<string | undefined> {
  if (flavour === 'stock') return undefined;
  const own = await apt.uris(undefined, ['qemu-system-x86']);
  const folder = await mkdtemp(join(store, 'building-'));
  try {
    await apt.download(folder, own, () => {});
    for (const { file } of own) await need(exec('dpkg', ['-x', join(folder, file), folder]), 'dpkg');
    const program = await readFile(join(folder, new Unpacked(folder).program('qemu-system-x86_64')));
    if (program.includes('\0igb\0')) {
      progress("the release's own QEMU has an igb: it is taken with the release's own kernel");
      return undefined;
    }
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
  if (apt.target === undefined)
    progress(`${apt.mirror} has no backports for this release: its own QEMU has no igb, so there is the NVMe device alone`);
  return apt.target;
}

async function choosePackages(store: string, apt: Apt, options: SetupOptions): Promise<{ apt: Apt; chosen: Download[] }> {
  const suite = await chooseSuite(store, apt, options);
  const tools = [...TOOLS];
  if (!(await hasProgram('ip'))) tools.push('iproute2');
  if (!(await hasProgram('xz'))) tools.push('xz-utils');

  const kernel = (await apt.simulate(suite, ['linux-image-amd64'], 'on nothing')).filter(({ name }) => KERNEL.test(name));
  if (kernel.length === 0) throw new LabError(`${apt.mirror} offers no kernel: linux-image-amd64 leads to no package with one`);
  const pick = (wanted: readonly string[], needed: readonly Package[]): string[] => [
    ...wanted.filter((name) => !needed.some((p) => p.name === name)),
    ...needed
      .filter((p) => wanted.includes(p.name) || (p.name.startsWith('lib') && !SYSTEM.test(p.name)))
      .map((p) => `${p.name}=${p.version}`),
  ];
  const qemu = pick(QEMU, await apt.simulate(suite, ['qemu-system-x86']));
  const rest = pick(tools, await apt.simulate(undefined, tools));
  const chosen = new Map<string, Download>();
  const found = [
    ...(await apt.uris(suite, [...qemu, ...kernel.map((p) => `${p.name}=${p.version}`)])),
    ...(await apt.uris(undefined, rest)),
  ];
  for (const download of found) if (!chosen.has(download.name)) chosen.set(download.name, download);
  return { apt, chosen: [...chosen.values()] };
}

async function fetchPackages(
  store: string,
  apt: Apt,
  chosen: readonly Download[],
  progress: (line: string) => void,
): Promise<void> {
  const pool = join(store, 'debs');
  await mkdir(pool, { recursive: true });
  const size = chosen.reduce((sum, { bytes }) => sum + bytes, 0);
  progress(`${chosen.length} packages, ${megabytes(size)}, from ${apt.mirror}`);
  const started = Date.now();
  await apt.download(pool, chosen, (line) => {
    const got = /^Get:\d+ \S+ \S+ \S+ (\S+) \S+ (\S+) \[(.*)\]/.exec(line);
    if (got) progress(`  ${got[1]} ${got[2]}, ${got[3]}`);
  });
  progress(`downloaded in ${((Date.now() - started) / 1000).toFixed(1)} s`);
}

/** Makes a complete lab in an empty folder; the stamp is written last. */
async function build(
  folder: string,
  store: string,
  flavour: Flavour,
  chosen: readonly Download[],
  progress: (line: string) => void,
): Promise<void> {
  const started = Date.now();
  const unpacked = new Unpacked(join(folder, 'root'));
  await mkdir(unpacked.root);
  for (const { file } of chosen) {
    const ended = await exec('dpkg', ['-x', join(store, 'debs', file), unpacked.root]);
    if (ended.code !== 0) throw new LabError(`dpkg cannot unpack ${file}: ${ended.stderr.trim()}`);
  }
  unpacked.relink();
  for (const folder of BALLAST) await rm(join(unpacked.root, folder), { recursive: true, force: true });
  if (!existsSync(join(unpacked.root, 'lib/modules'))) {
    await mkdir(join(unpacked.root, 'lib'), { recursive: true });
    await symlink('../usr/lib/modules', join(unpacked.root, 'lib/modules'));
  }
  const [release] = await readdir(join(unpacked.root, 'lib/modules'));
  if (release === undefined) throw new LabError('the downloaded kernel has no modules');
  for (const folder of FOREIGN)
    await rm(join(unpacked.root, 'lib/modules', release, 'kernel', folder), { recursive: true, force: true });
  const kernel = [`root/boot/vmlinuz-${release}`, `root/lib/modules/${release}/vmlinuz`].find((path) =>
    existsSync(join(folder, path)),
  );
  if (kernel === undefined) throw new LabError(`the downloaded kernel ${release} has no vmlinuz`);
  const from = ingredients(unpacked.root, release);
  const depmod = () =>
    exec(join(unpacked.root, unpacked.program('depmod')), ['-b', unpacked.root, release], { env: unpacked.env() });
  await need(depmod(), 'depmod');
  await inflateModules(from);
  await need(depmod(), 'depmod');
  progress(`unpacked in ${((Date.now() - started) / 1000).toFixed(1)} s`);

  const bin = join(folder, 'bin');
  await mkdir(bin);
  await writeWrappers(bin, unpacked);
  const qemu = join(bin, 'qemu-system-x86_64');
  const { missing } = parseLdd(
    (await exec('ldd', [join(unpacked.root, unpacked.program('qemu-system-x86_64'))], { env: unpacked.env() })).stdout,
  );
  if (missing.length > 0)
    throw new LabError(
      `the unpacked QEMU lacks the libraries ${missing.join(' ')}: apt-get install qemu-system-x86 would bring them`,
    );
  const abilities = await probeAbilities(qemu);

  await mkdir(join(folder, 'guest'));
  await ensureImages(folder, from);
  await symlink(join('..', kernel), join(folder, 'guest/vmlinuz'));

  const lab: Lab = {
    flavour,
    folder: '',
    release,
    modules: `root/lib/modules/${release}`,
    kernel,
    initrd: INITRD,
    guestKernel: 'guest/vmlinuz',
    guestInitrd: GUEST_INITRD,
    bin: 'bin',
    packages: chosen.map(({ name, version }) => ({ name, version })),
    abilities,
    bytes: await sizeOf(folder),
    format: FORMAT,
  };
  await writeFile(join(folder, 'lab.json.new'), `${JSON.stringify(lab, undefined, 1)}\n`);
  await rename(join(folder, 'lab.json.new'), join(folder, 'lab.json'));
}

async function need(ended: ReturnType<typeof exec>, what: string): Promise<void> {
  const { code, stderr } = await ended;
  if (code !== 0) throw new LabError(`${what} ended with ${code}: ${stderr.trim()}`);
}

async function writeWrappers(bin: string, unpacked: Unpacked): Promise<void> {
  const libraries = unpacked.libraries();
  const data = ['usr/share/qemu', 'usr/share/seabios', 'usr/lib/ipxe/qemu'].filter((path) =>
    existsSync(join(unpacked.root, path)),
  );
  const programs: [string, string[]][] = [['qemu-system-x86_64', data.flatMap((path) => ['-L', path])]];
  for (const name of ['modprobe', 'lsmod', 'rmmod', 'modinfo', 'insmod', 'depmod', 'ip', 'xz']) programs.push([name, []]);
  for (const [name, before] of programs) {
    const path = unpacked.find(name);
    if (path === undefined) continue;
    await writeFile(join(bin, name), wrapper(path, libraries, before));
    await chmod(join(bin, name), 0o755);
  }
}

async function sizeOf(folder: string): Promise<number> {
  let bytes = 0;
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true }))
    if (entry.isFile()) bytes += (await stat(join(entry.parentPath, entry.name))).size;
  return bytes;
}

/** Removes the packages just unpacked and earlier labs of the flavour that no running machine uses. */
async function tidy(store: string, flavour: Flavour, name: string, chosen: readonly Download[]): Promise<void> {
  for (const { file } of chosen) await rm(join(store, 'debs', file), { force: true });
  const used = (await labsInUse()).map((folder) => basename(folder));
  for (const other of await readdir(store))
    if (other.startsWith(`${flavour}-`) && other !== name && !used.includes(other))
      await rm(join(store, other), { recursive: true, force: true });
}
