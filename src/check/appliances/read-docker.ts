import type { Host } from '../../host/host.ts';
import { derive, type Fact, type Facts, isKnown } from './facts.ts';
import { parseMounts, readExists, readFact } from './read-fact.ts';

const DPKG = '/var/lib/dpkg/status';
const PID = '/run/docker.pid';
const DATA = '/var/lib/docker';
/** Packages of Docker Inc. and of Debian and Ubuntu. */
const CLIENT = {
  packages: ['docker-ce-cli', 'docker-cli', 'docker.io'],
  files: ['/usr/bin/docker', '/usr/local/bin/docker', '/snap/bin/docker'],
};
const DAEMON = {
  packages: ['docker-ce', 'docker.io'],
  files: ['/usr/bin/dockerd', '/usr/local/bin/dockerd', '/usr/sbin/dockerd'],
};
const COMPOSE = {
  packages: ['docker-compose-plugin', 'docker-compose-v2', 'docker-compose'],
  files: [
    '/usr/libexec/docker/cli-plugins/docker-compose',
    '/usr/lib/docker/cli-plugins/docker-compose',
    '/usr/local/lib/docker/cli-plugins/docker-compose',
    '/usr/bin/docker-compose',
    '/usr/local/bin/docker-compose',
  ],
};
/** File systems that always tell the types of directory entries; xfs does when it was made so. */
const TELLS_TYPES = ['ext4', 'ext3', 'btrfs', 'zfs', 'tmpfs', 'overlay', 'f2fs', 'bcachefs'];

/** What can be told of Docker without running it: the package's version, the daemon's process, the file system. */
export async function readDocker(
  host: Host,
  mounts: Fact<string>,
): Promise<Pick<Facts, 'dockerClient' | 'dockerDaemon' | 'dockerCompose' | 'dType'>> {
  const files = [...CLIENT.files, ...DAEMON.files, ...COMPOSE.files];
  const exist = await Promise.all(files.map((path) => readExists(host, path)));
  const there = new Set(exist.flatMap((fact) => (isKnown(fact) && fact.value ? [fact.where] : [])));
  const untold = exist.find((fact) => !isKnown(fact));
  // The list of packages is long, and of no use where Docker is not.
  const dpkg = there.size === 0 ? undefined : await readFact(host, DPKG);
  const versions = new Map(dpkg !== undefined && isKnown(dpkg) ? parseInstalled(dpkg.value) : []);
  const version = ({ packages, files }: typeof CLIENT): Fact<string> => {
    for (const name of packages) {
      const found = versions.get(name);
      if (found !== undefined) return { where: `${DPKG} ${name}`, value: found };
    }
    for (const path of files)
      if (there.has(path))
        return {
          where: path,
          missing: 'unreadable',
          because: `${path} is there, but it alone tells its version: run it with --version`,
        };
    if (untold !== undefined && !isKnown(untold)) return untold;
    return { where: files[0]!, missing: 'absent', because: `none of ${files.join(', ')} is there` };
  };
  const [dockerClient, installed, dockerCompose] = [version(CLIENT), version(DAEMON), version(COMPOSE)];
  const pid = await readFact(host, PID);
  const running = isKnown(pid) && (await readFact(host, `/proc/${pid.value.trim().replace(/\D/g, '')}/comm`));
  const dockerDaemon: Fact<string> =
    running !== false && isKnown(running)
      ? installed
      : { where: PID, missing: 'absent', because: 'no process has the number in /run/docker.pid: the daemon does not run' };
  return {
    dockerClient,
    dockerDaemon,
    dockerCompose,
    dType: derive(mounts, tellsTypes, 'a file system below /var/lib/docker that is known to tell types'),
  };
}

/** Versions of installed packages, without the epoch. Source: deb-version(7), dpkg's status file. */
function* parseInstalled(status: string): Generator<[name: string, version: string]> {
  for (const block of status.split('\n\n')) {
    const name = /^Package: (docker\S*)$/m.exec(block)?.[1];
    if (name === undefined || !/^Status: .* installed$/m.test(block)) continue;
    const version = /^Version: (?:\d+:)?(\S+)$/m.exec(block)?.[1];
    if (version !== undefined) yield [name, version];
  }
}

/** Whether the file system that holds Docker's data tells types; undefined when its kind does not decide it. */
function tellsTypes(mountinfo: string): boolean | undefined {
  const holds = parseMounts(mountinfo).filter(({ at }) => at === '/' || DATA === at || DATA.startsWith(`${at}/`));
  // The longest mount point is the nearest, and of those at one place the last is on top.
  const nearest = holds.reduce<{ at: string; type: string } | undefined>(
    (best, mount) => (best === undefined || mount.at.length >= best.at.length ? mount : best),
    undefined,
  );
  return nearest !== undefined && TELLS_TYPES.includes(nearest.type) ? true : undefined;
}
