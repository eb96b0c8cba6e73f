import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { realFile } from '../../test/real-qemu.ts';
import { HostError } from '../host/host.ts';
import { liveHost } from '../host/live/index.ts';
import { buildArgv, type GuestMachine, guestFiles } from './argv.ts';
import { readQemu } from './capabilities.ts';
import { startGuest, stopGuest } from './guest.ts';
import { findGuest } from './processes.ts';
import { connectQmp, QmpError } from './qmp.ts';

const found = await realFile('SLUICE_QEMU', 'bin/qemu-system-x86_64');
const program = found.path;
const options = { skip: found.skip, timeout: 120_000 };
const host = liveHost();
const home = mkdtempSync(join(tmpdir(), 'sluice-qemu-'));
after(() => rmSync(home, { recursive: true }));

let count = 0;
/** A guest of its own for each test, whose names need every comma kept. */
function guest(changes: Partial<GuestMachine> = {}): GuestMachine {
  count++;
  const folder = join(home, `guest,${count}`);
  return {
    name: `demo, of ${count}`,
    uuid: `6c1b1d4e-2f1a-4a53-9f4c-${(process.pid * 4096 + count).toString(16).padStart(12, '0')}`,
    memory: 64 * 2 ** 20,
    vcpus: 1,
    machine: 'q35',
    firmware: 'seabios',
    disks: [],
    iommu: 'none',
    accel: 'tcg',
    devices: [],
    extra: ['-S'],
    folder,
    ...changes,
  };
}

async function argvOf(machine: GuestMachine): Promise<string[]> {
  const result = buildArgv(machine, await readQemu(host.hypervisor, program));
  assert.equal(result.refusals, undefined, JSON.stringify(result.refusals));
  return result.argv!;
}

/** Runs `body` beside a running guest, and leaves nothing of it behind. */
async function withGuest(machine: GuestMachine, body: (pid: number) => Promise<void>, memlock?: number): Promise<void> {
  const argv = await argvOf(machine);
  try {
    const started = await startGuest(host, {
      argv,
      uuid: machine.uuid,
      folder: machine.folder,
      ...(memlock === undefined ? {} : { memlock }),
    });
    await body(started.pid);
  } finally {
    await stopGuest(host, machine);
  }
}

const qom = async (machine: GuestMachine, requests: [string, Record<string, unknown>?][]): Promise<unknown[]> => {
  const qmp = await connectQmp(host, guestFiles(machine.folder).qmp, 5000);
  try {
    const answers = [];
    for (const [command, args] of requests) answers.push(await qmp.execute(command, args));
    return answers;
  } finally {
    qmp.close();
  }
};

for (const [machine, iommu] of [
  ['q35', 'intel'],
  ['q35', 'virtio'],
  ['q35', 'none'],
  ['pc', 'none'],
  ['pc', 'virtio'],
] as const)
  test(`a real QEMU takes the command line for ${machine} with iommu: ${iommu}, and stops when asked`, options, async () => {
    const disk = join(home, `disk,${count}`);
    writeFileSync(disk, '');
    truncateSync(disk, 2 ** 20);
    const made = guest({
      machine,
      iommu,
      disks: [{ path: disk, format: 'raw' }],
      ...(iommu === 'intel' ? { addressWidth: 39 } : {}),
    });
    await withGuest(made, async (pid) => {
      assert.equal((await findGuest(host, made.uuid))?.pid, pid);
      assert.equal(Number(readFileSync(guestFiles(made.folder).pidfile, 'utf8')), pid);
      const [name, status, blocks, pci] = (await qom(made, [
        ['query-name'],
        ['query-status'],
        ['query-block'],
        ['query-pci'],
      ])) as [
        { name: string },
        { status: string },
        { inserted?: { file: string } }[],
        { devices: { slot: number; qdev_id: string }[] }[],
      ];
      assert.equal(name.name, made.name);
      assert.equal(status.status, 'prelaunch');
      assert.deepEqual(
        blocks.map((b) => b.inserted?.file),
        [disk],
      );
      const slots = Object.fromEntries(pci[0]!.devices.filter((d) => d.qdev_id).map((d) => [d.qdev_id, d.slot]));
      assert.deepEqual([slots.serial0, slots['virtio-disk0']], [4, 5]);
      if (iommu === 'intel') {
        const children = (await qom(made, [['qom-list', { path: '/machine/peripheral-anon' }]]))[0] as {
          name: string;
          type: string;
        }[];
        const path = `/machine/peripheral-anon/${children.find((c) => c.type === 'child<intel-iommu>')?.name}`;
        const get = (property: string) => ['qom-get', { path, property }] as [string, Record<string, unknown>];
        assert.deepEqual(await qom(made, [get('caching-mode'), get('intremap'), get('aw-bits')]), [true, 'on', 39]);
      }
    });
    assert.equal(await findGuest(host, made.uuid), undefined);
    assert.equal((await stopGuest(host, made)).by, 'absent');
  });

test('a guest with a bad option dies at once, and the error holds what QEMU said', options, async () => {
  for (const [extra, words] of [
    [['-device', 'intel-iommu,no-such-setting=on'], /Property 'intel-iommu\.no-such-setting' not found/],
    [['-device', 'vfio-pci,host=0000:fe:1f.7'], /0000:fe:1f\.7: no such host device/],
  ] as const) {
    const made = guest({ extra: [...extra] });
    await assert.rejects(startGuest(host, { argv: await argvOf(made), ...made }), (error) => {
      assert.ok(error instanceof HostError, String(error));
      assert.match(error.message, /the guest ended before it answered/);
      assert.match(error.message, words);
      return true;
    });
    assert.equal(await findGuest(host, made.uuid), undefined);
  }
});

test('QEMU missing: the error names the package', options, () =>
  assert.rejects(readQemu(host.hypervisor, join(home, 'qemu-system-none')), (error) => {
    assert.ok(error instanceof HostError);
    assert.equal(error.errno, 'ENOENT');
    assert.match(error.message, /apt install qemu-system-x86/);
    return true;
  }),
);

test('a QMP socket that somebody holds gives no greeting, and signals end the guest', options, async () => {
  const made = guest();
  await withGuest(made, async (pid) => {
    const holder = await connectQmp(host, guestFiles(made.folder).qmp, 5000);
    await assert.rejects(connectQmp(host, guestFiles(made.folder).qmp, 300), /does not greet within 300 ms/);
    const stopped = await stopGuest(host, made);
    assert.deepEqual([stopped.by, stopped.pid], ['SIGTERM', pid]);
    assert.equal((await holder.waitEvent('SHUTDOWN', 2000))?.data.reason, 'host-signal');
    await assert.rejects(holder.execute('query-status'), (error) => error instanceof HostError && error.errno !== 'ETIMEDOUT');
    holder.close();
  });
});

test('a QEMU that hangs is killed', options, async () => {
  const made = guest();
  await withGuest(made, async (pid) => {
    process.kill(pid, 'SIGSTOP');
    const stopped = await stopGuest(host, made);
    assert.equal(stopped.by, 'SIGKILL', stopped.notes.join('; '));
    assert.match(stopped.notes[0]!, /^quit: .*does not greet/);
  });
});

test('a QEMU that was killed is found no more, and its socket is a clear error', options, async () => {
  const made = guest();
  await withGuest(made, async (pid) => {
    const qmp = await connectQmp(host, guestFiles(made.folder).qmp, 5000);
    process.kill(pid, 'SIGKILL');
    await assert.rejects(
      qmp.waitEvent('SHUTDOWN', 10_000),
      (error) => error instanceof HostError && error.errno === 'ECONNRESET',
    );
    assert.equal((await stopGuest(host, made)).by, 'absent');
    await assert.rejects(
      connectQmp(host, guestFiles(made.folder).qmp, 1000),
      (error) => error instanceof HostError && error.errno === 'ECONNREFUSED',
    );
  });
});

test('the limit of locked memory is that of the process', options, async () => {
  const made = guest();
  await withGuest(
    made,
    async (pid) => assert.match(readFileSync(`/proc/${pid}/limits`, 'utf8'), /^Max locked memory +3145728 +3145728 /m),
    3 * 2 ** 20, // no more than anybody may set
  );
});

test('refusals and many commands at once come from a real QEMU as they are asked for', options, async () => {
  const made = guest();
  await withGuest(made, async () => {
    const qmp = await connectQmp(host, guestFiles(made.folder).qmp, 5000);
    await assert.rejects(
      qmp.execute('device_del', { id: 'none' }),
      (error) => error instanceof QmpError && error.class === 'DeviceNotFound',
    );
    await assert.rejects(
      qmp.execute('no-such-command'),
      (error) => error instanceof QmpError && error.class === 'CommandNotFound',
    );
    const types = await Promise.all(
      ['q35', 'name'].map((_, i) => qmp.execute('qom-get', { path: '/machine', property: i === 0 ? 'type' : 'usb' })),
    );
    assert.match(String(types[0]), /^pc-q35-/);
    assert.equal(types[1], false);
    const schema = (await qmp.execute('query-qmp-schema')) as unknown[];
    assert.ok(schema.length > 500);
    qmp.close();
  });
});
