// What start and test need first: the right Node, the packages of the lock file, a build of the sources as they are now.
// Plain Node, nothing installed: this is the first thing that runs after a clone.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const STAMP = join(root, 'dist', '.built');

/** Ends the process with a message when something is missing that only the user can supply. */
export function prepare() {
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
  if (major < 20 || (major === 20 && minor < 19))
    end(
      `Node ${process.versions.node} is too old: sluice needs 20.19 or newer. Debian 13 has it; https://nodejs.org has it for others.`,
    );
  if (packagesAreStale()) {
    console.log('Installing the packages of package-lock.json (npm ci) ...');
    // Under npm its own file is known; run directly, the npm on the path is taken.
    const npm = process.env.npm_execpath;
    const [program, first] = npm?.endsWith('.js') ? [process.execPath, [npm]] : ['npm', []];
    const done = spawnSync(program, [...first, 'ci', '--no-audit', '--no-fund', '--loglevel=error'], {
      cwd: root,
      stdio: 'inherit',
    });
    if (done.error) end(`npm cannot be run (${done.error.message}). On Debian: apt-get install npm`);
    if (done.status !== 0) end('npm ci failed: see above. It needs the network, or a filled npm cache.');
  }
  if (!existsSync(STAMP) || readFileSync(STAMP, 'utf8') !== fingerprint()) {
    console.log('Building ...');
    const built = spawnSync(process.execPath, [join(root, 'scripts', 'build.mjs')], { cwd: root, stdio: 'inherit' });
    if (built.status !== 0) process.exit(built.status ?? 1);
  }
}

/** Writes down that the build is that of `print`, which was taken before it began. */
export function stampBuild(print) {
  writeFileSync(STAMP, print);
}

/** Changes when a source is added, removed or written. */
export function fingerprint() {
  const hash = createHash('sha256');
  const take = (path) => {
    const { size, mtimeMs } = statSync(path);
    hash.update(`${path.slice(root.length)} ${size} ${mtimeMs}\n`);
  };
  for (const folder of ['src', 'test'])
    for (const entry of readdirSync(join(root, folder), { recursive: true, withFileTypes: true }).sort(byName))
      if (entry.isFile()) take(join(entry.parentPath, entry.name));
  for (const file of ['package.json', 'package-lock.json', 'tsconfig.json', 'tsconfig.base.json', 'scripts/build.mjs'])
    take(join(root, file));
  return hash.digest('hex');
}

const byName = (a, b) => (join(a.parentPath, a.name) < join(b.parentPath, b.name) ? -1 : 1);

function packagesAreStale() {
  const installed = join(root, 'node_modules', '.package-lock.json');
  return !existsSync(installed) || statSync(installed).mtimeMs < statSync(join(root, 'package-lock.json')).mtimeMs;
}

function end(message) {
  console.error(message);
  process.exit(1);
}
