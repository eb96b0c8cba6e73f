// Builds everything: the rooms with tsc (dist/src, dist/test), then the command as one bundle with lazily loaded verbs (dist/bin).
// Outputs whose source is gone are deleted first, so that no test of a deleted file runs.
import { spawnSync } from 'node:child_process';
import { chmodSync, existsSync, readdirSync, rmSync } from 'node:fs';
import { join, relative } from 'node:path';
import { fingerprint, root, stampBuild } from './prepare.mjs';

const before = fingerprint();
const dist = join(root, 'dist');

for (const part of ['src', 'test']) {
  const out = join(dist, part);
  if (!existsSync(out)) continue;
  for (const entry of readdirSync(out, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const file = join(entry.parentPath, entry.name);
    const source = join(root, relative(dist, file)).replace(/(\.d\.ts|\.js)(\.map)?$/, '.ts');
    if (!existsSync(source)) rmSync(file);
  }
}

const tsc = spawnSync(process.execPath, [join(root, 'node_modules/typescript/bin/tsc'), '-b', ...process.argv.slice(2)], {
  cwd: root,
  stdio: 'inherit',
});
if (tsc.status !== 0) process.exit(tsc.status ?? 1);

const { build } = await import('esbuild');
rmSync(join(dist, 'bin'), { recursive: true, force: true });
await build({
  absWorkingDir: root,
  entryPoints: { sluice: 'dist/src/cli/main.js', 'folder-worker': 'dist/src/host/live/folder-worker.js' },
  outdir: 'dist/bin',
  bundle: true,
  splitting: true,
  format: 'esm',
  platform: 'node',
  target: 'node20',
  external: ['koffi'],
  // The package offers Node only CommonJS, which would bring `require` into the bundle; this is the same code as modules.
  alias: { yaml: './node_modules/yaml/browser/index.js' },
  legalComments: 'none',
  logLevel: 'warning',
});
chmodSync(join(dist, 'bin', 'sluice.js'), 0o755);
stampBuild(before);
