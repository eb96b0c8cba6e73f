import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ROOT } from './data.ts';
import { tables } from './format-tables.ts';

// npm run tables: writes docs/tables anew.

const folder = join(ROOT, 'docs/tables');
mkdirSync(folder, { recursive: true });
for (const [name, text] of tables()) writeFileSync(join(folder, name), text);
