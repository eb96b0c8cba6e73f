// The same work in C, built and run here: what a walk costs without a JavaScript engine.
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { root } from '../scripts/prepare.mjs';

const SOURCES = join(root, '../shared/bench/c');
const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'];

/**
 * Builds the programs in a folder of their own.
 *
 * @param names of programs that the Makefile can build: `flat` has all memory in one mapping, `pool` in pages behind a hash
 * @param use   is called with `run(name)`, which starts one, and with nothing when they cannot be built
 */
export async function withCPrograms(names, use) {
  const folder = mkdtempSync(join(tmpdir(), 'sluice-bench-c-'));
  const started = [];
  // However this ends: a program that is stopped would hear of nothing.
  const clear = () => {
    for (const { child } of started) child.kill('SIGKILL');
    rmSync(folder, { recursive: true, force: true });
  };
  const leave = () => process.exit(1);
  process.once('exit', clear);
  for (const signal of SIGNALS) process.once(signal, leave);
  try {
    const failed = build(folder, names);
    if (failed !== undefined) {
      console.log(`not compared with C: ${failed}`);
      return await use(undefined);
    }
    return await use((name) => {
      const program = new CProgram(join(folder, name));
      started.push(program);
      return program;
    });
  } finally {
    clear();
    process.off('exit', clear);
    for (const signal of SIGNALS) process.off(signal, leave);
  }
}

function build(folder, names) {
  if (!existsSync(join(SOURCES, 'Makefile'))) return `there is no ${SOURCES}`;
  cpSync(SOURCES, folder, { recursive: true });
  const make = spawnSync('make', ['--silent', '-C', folder, ...names], { encoding: 'utf8' });
  if (make.error) return `make cannot be run: ${make.error.code}`;
  return make.status === 0 ? undefined : `the programs cannot be built here: ${make.stderr.trim().split('\n', 1)[0]}`;
}

/** A workload, or another figure. */
const FIGURE = /"(\w+)": (\{[^}]*\}|[\d.]+)/g;

/**
 * One of the programs, which print one JSON object, a workload at a time as it ends: its `ns`, `ns_min` and the checksum of all
 * its results. It is stopped while nobody waits for it, from its start on, so that it runs alone, and a workload can be measured
 * right after it was in C: what others do to the machine is then done to both. Its figures are CPU time.
 */
class CProgram {
  constructor(path) {
    this.text = '';
    this.child = spawn(path, [], { stdio: ['ignore', 'pipe', 'inherit'] });
    this.child.kill('SIGSTOP');
    this.printed = this.child.stdout[Symbol.asyncIterator]();
    this.ended = once(this.child, 'exit');
    this.ended.catch(() => {});
  }

  /** What it printed for a workload, or another figure, once it has. */
  async of(name) {
    this.child.kill('SIGCONT');
    for (;;) {
      const found = [...this.text.matchAll(FIGURE)].find(([, each]) => each === name);
      if (found) {
        this.child.kill('SIGSTOP');
        return JSON.parse(found[2]);
      }
      const { value, done } = await this.printed.next();
      if (done) throw new Error(`${this.child.spawnfile} ended with ${await this.ended} and printed no ${name}`);
      this.text += value;
    }
  }

  async end() {
    this.child.kill('SIGKILL');
    await this.ended;
    // Nobody reads the rest.
    this.child.stdout.destroy();
  }
}
