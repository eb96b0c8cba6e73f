// npm start: sets up what is missing, then shows the whole way in the lab. Arguments go to `sluice lab demo`.
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { prepare, root } from './prepare.mjs';

prepare();
// Ctrl-C reaches the command as well, which cleans up; we wait for it.
process.on('SIGINT', () => {});
const { status, signal } = spawnSync(
  process.execPath,
  [join(root, 'dist/bin/sluice.js'), 'lab', 'demo', ...process.argv.slice(2)],
  {
    cwd: root,
    stdio: 'inherit',
  },
);
process.exitCode = status ?? (signal === 'SIGINT' ? 130 : 1);
