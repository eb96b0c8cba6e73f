import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { guestFiles } from '../src/qemu/index.ts';
import { differences, fingerprint } from './fingerprint.ts';
import { inside, labOf, type Ran, runInMachine, SLUICE, sluice, start, tell } from './in-lab.ts';

const PF = '0000:01:00.0';
const VF = '0000:01:10.0';
const NUMVFS = `/sys/bus/pci/devices/${PF}/sriov_numvfs`;
const AUTOPROBE = `/sys/bus/pci/devices/${PF}/sriov_drivers_autoprobe`;

/** A guest that comes up, and says so by its agent when it is asked for. */
const GUEST = `memory: 256MiB
kernel: /lab/guest/vmlinuz
initrd: /lab/guest/initrd.gz
append: console=ttyS0 panic=-1`;
/** Its kernel finds no root file system and panics; without panic=-1 it stays so. */
const LOST = `memory: 256MiB
kernel: /lab/guest/vmlinuz
append: console=ttyS0
agent: on`;
const BOTH = `devices:
  - pf: ${PF}
    vf: { mac: "52:54:00:aa:01:00" }
  - pf: nvme0`;

interface Case {
  says: string;
  /** Written to `/tmp/.../bad.yaml`; then that is applied. */
  spec?: string;
  /** Another command than `sluice apply SPEC`. */
  run?: (file: string) => Promise<Ran>;
  env?: Record<string, string>;
  code: number;
  /** What standard output and standard error must say, in this order. */
  shows: RegExp[];
}

/** Cases that need the machine in a certain state. It is left before the next scene begins. */
interface Scene {
  enter?: () => Promise<void> | void;
  leave?: () => Promise<void> | void;
  cases: Case[];
}

const NOTHING = /There is no plan: 1 thing stands in the way\./;
const node = (argv: string[], env?: Record<string, string>) => start([process.execPath, SLUICE, ...argv], env).ended;
const nobody = (...argv: string[]) =>
  start(['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups', process.execPath, SLUICE, ...argv]).ended;
const system = (...argv: string[]): string => execFileSync(argv[0] ?? '', argv.slice(1), { encoding: 'utf8' });

const SCENES: Scene[] = [
  {
    cases: [
      {
        says: 'an unknown key is named with its place and the key that was meant',
        spec: `name: bad\n${GUEST}\nvcpu: 2\n`,
        code: 2,
        shows: [/bad\.yaml:6:1: /, /vcpu/, /vcpus/],
      },
      {
        says: 'a wrong unit is named with its place and what to write',
        spec: 'name: bad\nmemory: 384MB\n',
        code: 2,
        shows: [/bad\.yaml:2:9: memory: expected a size with its unit, such as 4GiB or 512MiB, found "?384MB/],
      },
      {
        says: 'an address where no function is',
        spec: `name: bad\n${GUEST}\ndevices:\n  - address: 0000:09:00.0\n`,
        code: 1,
        shows: [/bad\.yaml:7:5: .*there is no function 0000:09:00\.0 on this host/, NOTHING],
      },
      {
        says: 'a physical function without SR-IOV',
        spec: `name: bad\n${GUEST}\ndevices:\n  - pf: 0000:00:1f.2\n`,
        code: 1,
        shows: [/bad\.yaml:7:5: 0000:00:1f\.2: it has no SR-IOV capability/, NOTHING],
      },
      {
        says: 'eight VFs of a card that has seven',
        spec: `name: bad\n${GUEST}\ndevices:\n${`  - pf: ${PF}\n`.repeat(8)}`,
        code: 1,
        shows: [/bad\.yaml:14:5: 0000:01:00\.0: 8 VFs are wanted and TotalVFs is 7/, /sriov_totalvfs +7/, NOTHING],
      },
      {
        says: 'a user who is not root is told so before anything else is tried',
        spec: `name: bad\n${GUEST}\n${BOTH}\n`,
        run: (file) => nobody('apply', file),
        code: 3,
        shows: [/apply and revert: they change the host and need root; this is user 65534/],
      },
      {
        says: 'a user who is not root cannot revert either',
        run: () => nobody('revert', 'bad'),
        code: 3,
        shows: [/need root; this is user 65534/],
      },
      {
        says: 'QEMU is not installed',
        spec: `name: bad\n${GUEST}\n${BOTH}\n`,
        env: { PATH: '/run/no-qemu' },
        code: 3,
        shows: [/qemu-system-x86_64: this program is not installed.*apt install qemu-system-x86/],
      },
    ],
    enter: () => {
      // All that Sluice runs, and no QEMU.
      mkdirSync('/run/no-qemu');
      for (const name of ['ip', 'modprobe', 'prlimit', 'cat']) {
        const at = system('sh', '-c', 'command -v "$1"', 'sh', name).trim();
        writeFileSync(`/run/no-qemu/${name}`, `#!/bin/sh\nexec ${at} "$@"\n`, { mode: 0o755 });
      }
    },
  },
  {
    enter: () => {
      system('modprobe', 'ahci');
      system('modprobe', 'i2c-i801');
    },
    cases: [
      {
        says: 'a group with another bound function: the member and its driver are named',
        spec: `name: bad\n${GUEST}\ndevices:\n  - address: 0000:00:1f.3\n`,
        code: 1,
        shows: [/bad\.yaml:7:5: 0000:00:1f\.3: group \d+ is not viable: 0000:00:1f\.2 \(driver ahci\)/, NOTHING],
      },
    ],
  },
  {
    enter: async () => {
      system('ip', 'link', 'set', 'eth0', 'up');
      while (readFileSync('/sys/class/net/eth0/operstate', 'utf8') !== 'up\n') await pause(100);
      system('ip', 'address', 'add', '192.0.2.2/24', 'dev', 'eth0');
      system('ip', 'route', 'add', 'default', 'via', '192.0.2.1', 'dev', 'eth0');
    },
    leave: () => {
      system('ip', 'address', 'flush', 'dev', 'eth0');
      system('ip', 'link', 'set', 'eth0', 'down');
    },
    cases: [
      {
        says: 'the interface of the default route',
        spec: `name: bad\n${GUEST}\ndevices:\n  - interface: eth0\n`,
        code: 1,
        shows: [/bad\.yaml:7:5: 0000:01:00\.0: the default route of this host goes through it \(eth0\)/, NOTHING],
      },
    ],
  },
  {
    enter: () => {
      system('mkswap', '/dev/nvme0n1');
      system('swapon', '/dev/nvme0n1');
    },
    leave: () => {
      system('swapoff', '/dev/nvme0n1');
    },
    cases: [
      {
        says: 'the controller that the host swaps on',
        spec: `name: bad\n${GUEST}\ndevices:\n  - address: 0000:02:00.0\n`,
        code: 1,
        shows: [/bad\.yaml:7:5: 0000:02:00\.0: the swap area \/dev\/nvme0n1 is on it/, NOTHING],
      },
    ],
  },
  {
    enter: () => {
      writeFileSync(AUTOPROBE, '0');
      writeFileSync(NUMVFS, '2');
    },
    leave: () => {
      writeFileSync(NUMVFS, '0');
      writeFileSync(AUTOPROBE, '1');
    },
    cases: [
      {
        says: 'more VFs than exist, where some exist: NumVFs changes only through 0',
        spec: `name: bad\n${GUEST}\ndevices:\n${`  - pf: ${PF}\n`.repeat(3)}`,
        code: 1,
        shows: [
          /bad\.yaml:9:5: 0000:01:00\.0: 3 VFs are wanted; 2 VFs exist and 2 of them are free, and the kernel changes NumVFs only through 0/,
          /sriov_numvfs +2/,
          NOTHING,
        ],
      },
    ],
  },
  {
    enter: async () => {
      // With an agent it has taken its device when apply is done; afterwards it changes nothing any more.
      writeFileSync('/tmp/first.yaml', `name: first\n${GUEST}\nagent: on\ndevices:\n  - pf: ${PF}\n`);
      const { code, stdout, stderr } = await sluice(['apply', '/tmp/first.yaml']);
      assert.equal(code, 0, stdout + stderr);
    },
    leave: async () => {
      const { code, stdout, stderr } = await sluice(['revert', 'first']);
      assert.equal(code, 0, stdout + stderr);
    },
    cases: [
      {
        says: 'a VF that another guest has, named by its address',
        spec: `name: bad\n${GUEST}\ndevices:\n  - address: ${VF}\n`,
        code: 1,
        shows: [/bad\.yaml:7:5: 0000:01:10\.0: another guest has it: its group is open in qemu-system-x86 \(pid \d+\)/, NOTHING],
      },
      {
        says: 'a VF of a function whose only VF another guest has',
        spec: `name: bad\n${GUEST}\ndevices:\n  - pf: ${PF}\n`,
        code: 1,
        shows: [
          /bad\.yaml:7:5: 0000:01:00\.0: 1 VF is wanted; 1 VF exists and 0 of them are free/,
          /another guest has it/,
          NOTHING,
        ],
      },
      {
        says: 'a VM that is applied already',
        run: () => node(['apply', '/tmp/first.yaml']),
        code: 1,
        shows: [/first is applied already/, /sluice revert first/, NOTHING],
      },
    ],
  },
  {
    cases: [
      {
        says: 'a guest that never comes up: its last words are shown and everything is restored',
        spec: `name: bad\n${LOST}\ntimeout: 15s\n${BOTH}\n`,
        code: 4,
        shows: [
          /start guest bad: the guest did not come up: its agent did not answer within 15 s/,
          /the end of its console:/,
          /\[ +\d+\.\d+\] \w/,
          /Everything is as before/,
          /bad was not applied/,
        ],
      },
      {
        says: 'a guest whose QEMU is killed while it is waited for: nobody waits any longer',
        spec: `name: bad\n${LOST}\ntimeout: 10min\n${BOTH}\n`,
        run: async (file) => {
          const { ended } = start([process.execPath, SLUICE, 'apply', file]);
          process.kill(await qemuOf('bad'), 'SIGKILL');
          return await ended;
        },
        code: 4,
        shows: [
          /start guest bad: its QEMU ended while the guest came up/,
          /the end of its console:/,
          /\[ +\d+\.\d+\] \w/,
          /Everything is as before/,
          /bad was not applied/,
        ],
      },
      {
        says: 'a QEMU that ends at once: its last words are shown and everything is restored',
        spec: `name: bad\nmemory: 256MiB\nkernel: ./bad.yaml\n${BOTH}\n`,
        code: 4,
        shows: [/start guest bad: .*ended before it answered/, /kernel/, /Everything is as before/, /bad was not applied/],
      },
      {
        says: 'Ctrl-C while the guest is waited for: everything is restored',
        spec: `name: bad\n${LOST}\ntimeout: 10min\n${BOTH}\n`,
        run: async (file) => {
          const running = start([process.execPath, SLUICE, 'apply', file]);
          await qemuOf('bad');
          running.signal('SIGINT');
          return await running.ended;
        },
        code: 130,
        shows: [/start guest bad: stopped on request/, /stopped bad/, /Everything is as before/, /bad was not applied/],
      },
    ],
  },
];

/** The process of the QEMU that runs the guest of a VM, when the guest's kernel has begun to speak. */
async function qemuOf(name: string): Promise<number> {
  for (;;) {
    const found = readdirSync('/proc').find((entry) => /^\d+$/.test(entry) && isQemu(entry, name));
    if (found !== undefined && readOr(guestFiles(`/var/lib/sluice/${name}`).console).includes('Linux version'))
      return Number(found);
    await pause(200);
  }
}

function isQemu(pid: string, name: string): boolean {
  const argv = readOr(`/proc/${pid}/cmdline`).split('\0');
  return readOr(`/proc/${pid}/comm`).startsWith('qemu-system') && argv.some((word) => word.startsWith(`guest=${name}`));
}

const pause = (milliseconds: number): Promise<void> => new Promise((done) => setTimeout(done, milliseconds));

function readOr(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}

interface Told extends Ran {
  says: string;
  changed: string[];
  /** Journals and whatever else lies in the state folder afterwards. */
  state: string[];
}

if (inside) {
  const file = join(mkdtempSync(join(tmpdir(), 'bad-input-')), 'bad.yaml');
  chmodSync(dirname(file), 0o755); // for those who are not root
  for (const { enter, leave, cases } of SCENES) {
    await enter?.();
    for (const { says, spec, run, env } of cases) {
      if (spec !== undefined) writeFileSync(file, spec);
      const before = fingerprint();
      const ran = await (run?.(file) ?? node(['apply', file], env));
      tell({ ...ran, says, changed: differences(before, fingerprint()), state: journals() } satisfies Told);
    }
    await leave?.();
  }
} else await outside();

function journals(): string[] {
  if (!existsSync('/var/lib/sluice')) return [];
  return readdirSync('/var/lib/sluice', { recursive: true })
    .map(String)
    .filter((name) => name.endsWith('/journal.jsonl') && !name.startsWith('first/'));
}

async function outside(): Promise<void> {
  const { lab, skip } = await labOf('backports');
  const told = new Map<string, Told>();
  test('every mistake was made on a real kernel', { skip, timeout: 900_000 }, async () => {
    await runInMachine<Told>(lab!, import.meta.url, 800, (one) => told.set(one.says, one));
  });
  for (const { cases } of SCENES)
    for (const { says, code, shows } of cases)
      test(says, { skip }, () => {
        const one = told.get(says);
        assert.ok(one, 'it was not run');
        const said = one.stdout + one.stderr;
        assert.equal(one.code, code, said);
        let at = 0;
        for (const pattern of shows) {
          const found = pattern.exec(said.slice(at));
          assert.ok(found, `${pattern} is not in what follows ${JSON.stringify(said.slice(0, at).slice(-60))}:\n${said}`);
          at += found.index;
        }
        if (code === 2 || code === 3) assert.equal(said.match(/^sluice: /gm)?.length, 1, said);
        assert.doesNotMatch(said, /^\s+at .*[(/:]\S+:\d+|bug in Sluice/m);
        assert.deepEqual(one.changed, [], 'it changed the machine');
        assert.deepEqual(one.state, [], 'it left a journal');
        console.log(`  exit ${code} after ${one.seconds.toFixed(1)} s: ${said.split('\n').find((line) => shows[0]?.test(line))}`);
      });
}
