import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { readFile, rename, rm, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { promisify } from 'node:util';
import { gzip } from 'node:zlib';
import { type Member, withFolders, writeCpio } from './cpio.ts';
import { LabError } from './errors.ts';
import { exec, execBytes } from './exec.ts';
import { GUEST_INIT, GUEST_SHUTDOWN, L1_INIT, L1_JOB } from './init-scripts.ts';
import { parseLdd } from './libraries.ts';
import { loadOrder, type ModuleIndex, parseModules } from './modules.ts';
import { Unpacked } from './unpacked.ts';

/** Needed before the root is there, then what udev would load for the devices and the processor. */
const L1_MODULES = ['virtio_pci', 'virtio_console', '9pnet_virtio', '9p', 'overlay', 'igb', 'nvme', 'kvm_amd'];
/** The vIOMMU before the functions behind it; `button` and `evdev` so that a power-off from QEMU's monitor is heard. */
const GUEST_MODULES = ['virtio_pci', 'virtio_iommu?', 'virtio_console', 'igbvf', 'nvme', 'button?', 'evdev?'];

/** Where the images lie in a lab's folder. */
export const INITRD = 'initrd.gz';
export const GUEST_INITRD = 'guest/initrd.gz';

const script = (path: string, text: string): Member => ({ path, mode: 0o755, content: new TextEncoder().encode(text) });
const compress = promisify(gzip);

/** Changes whenever what is in the images does. */
export const RECIPE: string = createHash('sha256')
  .update(JSON.stringify([1, L1_INIT, L1_JOB, GUEST_INIT, GUEST_SHUTDOWN, L1_MODULES, GUEST_MODULES]))
  .digest('hex');

/** What images are made from. */
export interface Ingredients {
  unpacked: Unpacked;
  /** Absolute path of the modules folder of the kernel. */
  modules: string;
  /** Absolute path of an `xz`. */
  xz: string;
}

/** Modules that lie as plain files: what goes into the images, and what is loaded in every run. */
const PLAIN_MODULES = [...L1_MODULES, ...GUEST_MODULES, 'vfio_pci', 'vfio_iommu_type1', 'tun?'];

async function readModules(modules: string): Promise<ModuleIndex> {
  return parseModules(
    await readFile(join(modules, 'modules.dep'), 'utf8'),
    existsSync(join(modules, 'modules.builtin')) ? await readFile(join(modules, 'modules.builtin'), 'utf8') : undefined,
  );
}

/** A module's bytes, unpacked when need be. @throws LabError for a form of compression that is not known here */
async function readModule({ xz, unpacked }: Ingredients, path: string): Promise<Buffer> {
  if (path.endsWith('.ko')) return readFile(path);
  if (!path.endsWith('.ko.xz')) throw new LabError(`${path}: a module compressed in a way that is not known here`);
  return execBytes(xz, ['-dc', path], unpacked.env());
}

const plainName = (file: string): string => file.replace(/\.xz$/, '');

/**
 * Unpacks the modules that every run loads: an emulated processor is slow at it, and modprobe's attempt to load one as it is
 * leaves a complaint in the kernel log. depmod must run again afterwards.
 * @throws LabError
 */
export async function inflateModules(from: Ingredients): Promise<void> {
  for (const file of loadOrder(await readModules(from.modules), PLAIN_MODULES)) {
    const path = join(from.modules, file);
    if (plainName(path) === path) continue;
    await writeFile(plainName(path), await readModule(from, path));
    await rm(path);
  }
}

async function moduleMembers(from: Ingredients, names: readonly string[]): Promise<Member[]> {
  const members: Member[] = [];
  const files = loadOrder(await readModules(from.modules), names);
  const nameOf = (file: string) => plainName(basename(file));
  for (const file of files)
    members.push({ path: `mod/${nameOf(file)}`, mode: 0o644, content: await readModule(from, join(from.modules, file)) });
  const list = files.map((file) => `${nameOf(file)}\n`).join('');
  return [...members, { path: 'modules', mode: 0o644, content: new TextEncoder().encode(list) }];
}

async function busybox({ unpacked }: Ingredients, except: readonly string[]): Promise<Member[]> {
  const path = join(unpacked.root, unpacked.program('busybox'));
  const applets = (await execBytes(path, ['--list'])).toString().split('\n').filter(Boolean);
  return [
    { path: 'bin/busybox', mode: 0o755, content: await readFile(path) },
    ...applets
      .filter((name) => name !== 'busybox' && !except.includes(name))
      .map((name) => ({ path: `bin/${name}`, mode: 0o777, target: 'busybox' })),
  ];
}

/** Stored, not deflated: an emulated processor takes longer to inflate than QEMU to load the difference. */
async function image(members: readonly Member[]): Promise<Buffer> {
  return compress(writeCpio(withFolders(members)), { level: 0 });
}

/** L1's initramfs in a gzip frame. @throws LabError */
async function buildInitrd(from: Ingredients): Promise<Buffer> {
  return image([
    ...(await busybox(from, [])),
    ...(await moduleMembers(from, L1_MODULES)),
    script('init', L1_INIT),
    script('job.sh', L1_JOB),
  ]);
}

/** Initramfs for the guest that L1 starts: busybox, drivers of virtual functions, and Debian's own guest agent. @throws LabError */
async function buildGuestInitrd(from: Ingredients): Promise<Buffer> {
  const agent = join(from.unpacked.root, from.unpacked.program('qemu-ga'));
  const { files, missing } = parseLdd((await exec('ldd', [agent], { env: from.unpacked.env() })).stdout);
  if (missing.length > 0)
    throw new LabError(
      `the guest agent lacks the libraries ${missing.join(' ')}: apt-get install qemu-guest-agent would bring them`,
    );
  const libraries: Member[] = [];
  for (const file of files) {
    const path = basename(file).startsWith('ld-') ? file.slice(1) : `lib/${basename(file)}`;
    libraries.push({ path, mode: 0o755, content: await readFile(file) });
  }
  return image([
    ...['dev', 'proc', 'sys', 'run', 'tmp', 'etc', 'root', 'mnt'].map((path) => ({ path, mode: 0o755 })),
    { path: 'var/run', mode: 0o777, target: '../run' },
    ...(await busybox(from, ['shutdown'])),
    ...(await moduleMembers(from, GUEST_MODULES)),
    ...libraries,
    { path: 'bin/qemu-ga', mode: 0o755, content: await readFile(agent) },
    ...['poweroff', 'halt', 'reboot'].map((name) => ({ path: `sbin/${name}`, mode: 0o777, target: '../bin/busybox' })),
    script('sbin/shutdown', GUEST_SHUTDOWN),
    script('init', GUEST_INIT),
  ]);
}

/**
 * Makes both images of a lab's folder unless they are there as this version makes them. Needs no network. Each is replaced as a
 * whole, and the file that says which recipe they follow comes last, so a torn attempt is repeated.
 * @returns whether they were made
 * @throws LabError
 */
export async function ensureImages(folder: string, from: Ingredients): Promise<boolean> {
  const stamp = join(folder, 'images');
  if ((await readFile(stamp, 'utf8').catch(() => '')) === RECIPE) return false;
  const replace = async (path: string, content: string | Buffer) => {
    const fresh = `${path}.${process.pid}`;
    await writeFile(fresh, content);
    await rename(fresh, path);
  };
  await replace(join(folder, INITRD), await buildInitrd(from));
  await replace(join(folder, GUEST_INITRD), await buildGuestInitrd(from));
  await replace(stamp, RECIPE);
  return true;
}

/** What the images of an unpacked tree are made from. */
export function ingredients(root: string, release: string): Ingredients {
  const unpacked = new Unpacked(root);
  const own = unpacked.find('xz');
  return { unpacked, modules: join(root, 'lib/modules', release), xz: own === undefined ? 'xz' : join(root, own) };
}
