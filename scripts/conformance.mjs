// npm run conformance -- DIR... [--verbose]
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { prepare, root } from './prepare.mjs';

prepare();
const { status } = spawnSync(process.execPath, [join(root, 'dist/test/conformance/main.js'), ...process.argv.slice(2)], {
  stdio: 'inherit',
});
process.exitCode = status ?? 1;
