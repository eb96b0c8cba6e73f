import { existsSync } from 'node:fs';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import {
  chooseMirror,
  type Download,
  type Package,
  parseOsRelease,
  parseSimulation,
  parseUris,
  privateConfiguration,
  sources,
  TARGET_FORMAT,
} from './apt-text.ts';
import { LabError } from './errors.ts';
import { type Ended, exec, hasProgram } from './exec.ts';
import type { Flavour } from './store.ts';

const KEYRING = '/usr/share/keyrings/debian-archive-keyring.gpg';
const CONTAINER = `podman run --rm -it -v "$PWD:$PWD" -w "$PWD" docker.io/library/debian:13`;

/** Codename of the Debian that this machine runs. @throws LabError saying what to do when it is no Debian on x86-64 */
export async function debianCodename(): Promise<string> {
  let release = new Map<string, string>();
  try {
    release = parseOsRelease(await readFile('/etc/os-release', 'utf8'));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
  }
  const name = release.get('PRETTY_NAME') ?? 'an unknown system';
  if (process.arch !== 'x64')
    throw new LabError(`the lab runs x86-64 programs of this machine, and this is ${process.arch}: use an x86-64 machine`);
  if (release.get('ID') !== 'debian')
    throw new LabError(
      `the lab takes its QEMU and kernel from Debian packages, and this is ${name}: run Sluice on Debian 12 or newer, or in a container: ${CONTAINER}`,
    );
  for (const program of ['apt-get', 'dpkg'])
    if (!(await hasProgram(program)))
      throw new LabError(
        `the lab needs the program ${program}, which is not on PATH: put it back, or use a container: ${CONTAINER}`,
      );
  const codename = release.get('VERSION_CODENAME');
  if (codename === undefined)
    throw new LabError(`/etc/os-release of ${name} has no VERSION_CODENAME, so no suite of Debian can be chosen`);
  return codename;
}

/** A private apt: its lists and configuration lie in a folder of their own and nothing of the system is changed. */
export interface Apt {
  mirror: string;
  /** The suite of backports when the flavour wants it and the mirror has one. */
  target: string | undefined;
  /**
   * What would be installed or upgraded here, or on a system with no package at all.
   * @throws LabError with what apt said
   */
  simulate(target: string | undefined, names: readonly string[], where?: 'here' | 'on nothing'): Promise<Package[]>;
  /** Where candidates, or exactly these versions, are to be had. @throws LabError */
  uris(target: string | undefined, names: readonly string[]): Promise<Download[]>;
  /** Downloads into a folder, checked against the signed lists; files already there are kept. @throws LabError */
  download(folder: string, packages: readonly Package[], onLine: (line: string) => void): Promise<void>;
}

/** What apt complains about, in one line, without its advice. */
function complaint(ended: Ended): string {
  const lines = ended.stderr.split('\n').map((line) => line.replaceAll(/ +/g, ' '));
  const of = (kind: string) => lines.filter((line) => line.startsWith(kind) && !line.includes('Some index files failed'));
  const said = [...of('E: '), ...of('W: ')].slice(0, 2).map((line) => line.slice(3).trim());
  return said.join('; ') || ended.stderr.trim() || `apt-get ended with ${ended.code}`;
}

/**
 * Reads the lists of the mirror this system uses into `folder`.
 * @throws LabError when there is no mirror, or it cannot be reached
 */
export async function openApt(folder: string, codename: string, flavour: Flavour): Promise<Apt> {
  const targets = await exec('apt-get', ['indextargets', '--format', TARGET_FORMAT], { timeout: 60_000 });
  const mirror = chooseMirror(targets.stdout, codename);
  if (mirror === undefined)
    throw new LabError(
      `apt has no source of ${codename} main: add the line of your Debian mirror to /etc/apt/sources.list, then try again`,
    );
  for (const part of ['lists/partial', 'cache/archives/partial']) await mkdir(join(folder, part), { recursive: true });
  await writeFile(join(folder, 'apt.conf'), privateConfiguration(folder));
  const run = (argv: readonly string[], more: { cwd?: string; onLine?: (line: string) => void } = {}) =>
    exec('apt-get', ['-c', join(folder, 'apt.conf'), ...argv], { timeout: 1_800_000, ...more });
  const update = async (suites: string[]) => {
    await writeFile(join(folder, 'sources.list'), sources(mirror, suites, existsSync(KEYRING) ? KEYRING : undefined));
    return run(['-q', 'update']);
  };

  let target: string | undefined = flavour === 'backports' ? `${codename}-backports` : undefined;
  let updated = await update(target === undefined ? [codename] : [codename, target]);
  if (updated.code !== 0 && target !== undefined && updated.stderr.includes(target)) {
    target = undefined;
    updated = await update([codename]);
  }
  if (updated.code !== 0)
    throw new LabError(
      `the package lists of ${mirror} cannot be read (${complaint(updated)}): the first set-up needs this mirror; check the network or apt's proxy, then try again`,
    );

  return {
    mirror,
    target,
    async simulate(suite, names, where = 'here') {
      const status = where === 'here' ? [] : ['-o', 'Dir::State::status=/dev/null'];
      const ended = await run([
        ...status,
        '-s',
        'install',
        '--no-install-recommends',
        ...(suite === undefined ? [] : ['-t', suite]),
        ...names,
      ]);
      if (ended.code !== 0) throw new LabError(`apt cannot work out what ${names.join(' ')} need: ${complaint(ended)}`);
      return parseSimulation(ended.stdout);
    },
    async uris(suite, names) {
      const ended = await run(['--print-uris', ...(suite === undefined ? [] : ['-t', suite]), 'download', ...names]);
      if (ended.code !== 0) throw new LabError(`${mirror} does not offer all of ${names.join(' ')}: ${complaint(ended)}`);
      return parseUris(ended.stdout);
    },
    async download(into, packages, onLine) {
      const names = packages.map(({ name, version }) => `${name}=${version}`);
      const ended = await run(['-q', 'download', ...names], { cwd: into, onLine });
      if (ended.code !== 0)
        throw new LabError(
          `packages cannot be downloaded from ${mirror} (${complaint(ended)}): what is complete is kept; check the network and the space in ${into}, then try again`,
        );
    },
  };
}
