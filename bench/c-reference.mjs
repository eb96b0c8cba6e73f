// The same work in C, built and run here: what a walk costs without a JavaScript engine.
import { spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { root } from '../scripts/prepare.mjs';

const SOURCES = join(root, '../shared/bench/c');

/**
 * Builds the programs in a folder of their own and runs them. Each prints one JSON object: by workload `ns`, `ns_min` and the
 * checksum of all its results.
 *
 * @param names of programs that the Makefile can build: `flat` has all memory in one mapping, `pool` in pages behind a hash
 * @returns what each printed, or a line that says why there is nothing to compare with
 */
export function cReference(names) {
  if (!existsSync(join(SOURCES, 'Makefile'))) return `skipped: there is no ${SOURCES}`;
  const folder = mkdtempSync(join(tmpdir(), 'sluice-bench-c-'));
  try {
    cpSync(SOURCES, folder, { recursive: true });
    const make = spawnSync('make', ['--silent', '-C', folder, ...names], { encoding: 'utf8' });
    if (make.error) return `skipped: make cannot be run: ${make.error.code}`;
    if (make.status !== 0) return `skipped: the C programs cannot be built here: ${firstLine(make.stderr)}`;
    return Object.fromEntries(names.map((name) => [name, printed(folder, name)]));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function printed(folder, name) {
  const { status, stdout, stderr, error } = spawnSync(join(folder, name), { encoding: 'utf8' });
  if (error || status !== 0) throw new Error(`the C program ${name} ended with ${error?.code ?? status}: ${firstLine(stderr)}`);
  return JSON.parse(stdout);
}

function firstLine(text) {
  return text?.trim().split('\n', 1)[0] ?? '';
}
