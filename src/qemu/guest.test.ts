import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FakeMachine } from '../../test/machine.ts';
import { HostError } from '../host/host.ts';
import { guestFiles } from './argv.ts';
import { consoleTail, startGuest, stopGuest } from './guest.ts';
import { findGuest, guestProcesses } from './processes.ts';

const uuid = '6c1b1d4e-2f1a-4a53-9f4c-0d9a5b0e7c11';
const argv = ['qemu-system-x86_64', '-name', 'guest=demo', '-uuid', uuid, '-S'];
const folder = '/run/sluice/demo';
const files = guestFiles(folder);

test('a guest is found by the UUID on the command line of a QEMU, among other processes', async () => {
  const host = new FakeMachine();
  host.process(10, ['bash', '-c', argv.join(' ')], '/usr/bin/bash');
  host.process(11, ['grep', '-uuid', uuid], '/usr/bin/grep');
  host.process(12, ['qemu-system-x86_64', '-uuid', uuid.replace('6', '7')]);
  host.process(13, ['sluice', 'apply', 'demo.yaml', uuid], '/usr/bin/node');
  assert.equal(await findGuest(host, uuid), undefined);
  host.process(14, ['/opt/q/qemu-system-x86_64', '-uuid', uuid.toUpperCase()], '/opt/q/qemu-system-x86_64 (deleted)');
  assert.equal((await findGuest(host, uuid))?.pid, 14);
});

test('where the program of another user may not be seen, its name decides', async () => {
  const host = new FakeMachine();
  host.process(14, ['/usr/libexec/qemu-kvm', ...argv.slice(1)], new HostError('/proc/14/exe', 'cannot read', 'EACCES'));
  assert.equal((await findGuest(host, uuid))?.pid, 14);
});

test('a process that is about to become QEMU is waited for', async () => {
  const host = new FakeMachine();
  const child = host.process(20, ['prlimit', '--memlock=1:1', ...argv], '/usr/bin/prlimit');
  let looks = 0;
  host.onLook = () => {
    if (++looks === 4) Object.assign(child, { argv, exe: '/usr/bin/qemu-system-x86_64' });
  };
  assert.deepEqual(await findGuest(host, uuid), { pid: 20, started: 1020, argv, isQemu: true });
});

test('a wrapper around QEMU is not the guest, but is known', async () => {
  const host = new FakeMachine();
  host.process(20, ['timeout', '240', ...argv], '/usr/bin/timeout');
  const child = host.process(21, argv);
  assert.equal((await findGuest(host, uuid))?.pid, 21);
  assert.deepEqual((await guestProcesses(host, uuid)).map((p) => [p.pid, p.isQemu]), [[21, true], [20, false]]); // biome-ignore format: pairs
  child.letter = 'Z';
  assert.equal(await findGuest(host, uuid), undefined);
});

/** A machine on which a start makes a QEMU that answers QMP after `delay` milliseconds. */
function startable(delay = 300): FakeMachine {
  const host = new FakeMachine();
  host.onStart = (given) => {
    host.process(30, [...given]);
    const ready = host.clock.now() + delay;
    host.sockets.set(files.qmp, undefined);
    host.onLook = () => {};
    const connect = host.hypervisor.connect.bind(host.hypervisor);
    host.hypervisor.connect = async (path, timeout) => {
      if (host.clock.now() >= ready)
        host.sockets.set(files.qmp, (command, reply, channel) => {
          if (command === 'query-status') reply({ status: 'running', running: true });
          if (command === 'quit') {
            reply({});
            host.processes.delete(30);
            channel.end();
          }
        });
      return await connect(path, timeout);
    };
    return 30;
  };
  return host;
}

test('a guest is started once its QMP answers', async () => {
  const host = startable();
  host.write(files.console, 'of an earlier run');
  let memlock: unknown;
  const start = host.onStart;
  host.onStart = (given, output, bytes) => {
    memlock = bytes;
    assert.equal(output, files.output);
    return start(given, output, bytes);
  };
  assert.deepEqual(await startGuest(host, { argv, uuid, folder, memlock: 5 * 2 ** 30 }), {
    pid: 30,
    version: '10.0.2',
    status: 'running',
  });
  assert.equal(memlock, 5 * 2 ** 30);
  assert.equal(host.contents.has(files.console), false);
});

test('a guest that runs already is not started again', async () => {
  const host = new FakeMachine();
  host.process(9, argv);
  await assert.rejects(startGuest(host, { argv, uuid, folder }), (error) => {
    assert.ok(error instanceof HostError);
    assert.equal(error.errno, 'EEXIST');
    assert.match(error.message, /process 9/);
    return true;
  });
});

test('a guest that dies at once: the error holds the last words of QEMU', async () => {
  const host = new FakeMachine();
  host.onStart = (given, output) => {
    host.process(30, [...given]).letter = 'Z';
    host.processes.get(30)!.threads = 1;
    host.write(
      output,
      'warning\nqemu-system-x86_64: -device vfio-pci,host=0000:01:10.0: vfio 0000:01:10.0: group 8 is not viable\n',
    );
    return 30;
  };
  await assert.rejects(
    startGuest(host, { argv, uuid, folder }),
    /^HostError: qemu-system-x86_64: the guest ended before it answered\. Its last words:\n(?:.*\n)?.*group 8 is not viable$/,
  );
  host.onStart = () => 31;
  await assert.rejects(startGuest(host, { argv, uuid, folder }), /It said nothing$/);
});

test('a guest whose QMP socket stays dead is ended, and the error says what it waited for', async () => {
  const host = new FakeMachine();
  host.onStart = (given) => {
    host.process(30, [...given]);
    return 30;
  };
  await assert.rejects(startGuest(host, { argv, uuid, folder, timeout: 3000 }), (error) => {
    assert.ok(error instanceof HostError);
    assert.equal(error.errno, 'ETIMEDOUT');
    assert.match(error.message, /did not answer within 3000 ms and was ended: .*qmp\.sock: cannot connect/);
    return true;
  });
  assert.deepEqual([...host.processes.keys()], []);
  assert.deepEqual(host.signals, ['SIGTERM 30']);
});

test('stopping a guest that does not run is fine', async () =>
  assert.deepEqual(await stopGuest(new FakeMachine(), { uuid, folder }), { by: 'absent', took: 0, notes: [] }));

test('a guest is stopped by QMP, and again without effect', async () => {
  const host = startable(0);
  await startGuest(host, { argv, uuid, folder });
  const stopped = await stopGuest(host, { uuid, folder });
  assert.deepEqual([stopped.by, stopped.pid, host.signals], ['quit', 30, []]);
  assert.equal((await stopGuest(host, { uuid, folder })).by, 'absent');
});

test('the power button comes first when there is time for it, and quit when it did not help', async () => {
  for (const obeys of [true, false]) {
    const host = new FakeMachine();
    host.process(30, argv);
    const commands: string[] = [];
    host.sockets.set(files.qmp, (command, reply) => {
      commands.push(command);
      reply({});
      if (command === 'quit' || obeys) host.processes.delete(30);
    });
    const stopped = await stopGuest(host, { uuid, folder, graceful: 2000 });
    assert.equal(stopped.by, obeys ? 'system_powerdown' : 'quit');
    assert.deepEqual(commands, obeys ? ['system_powerdown'] : ['system_powerdown', 'quit']);
    assert.deepEqual(stopped.notes, obeys ? [] : ['system_powerdown: it still ran 2000 ms later']);
  }
});

test('a guest with a dead QMP socket is ended by signals, the harder when the milder does not help', async () => {
  for (const [obeys, by] of [
    ['SIGTERM', 'SIGTERM'],
    ['SIGKILL', 'SIGKILL'],
  ] as const) {
    // biome-ignore format: pairs
    const host = new FakeMachine();
    host.process(30, argv).onSignal = (signal) => {
      if (signal === obeys) host.processes.delete(30);
    };
    host.sockets.set(files.qmp, undefined);
    const stopped = await stopGuest(host, { uuid, folder });
    assert.equal(stopped.by, by);
    assert.match(stopped.notes[0]!, /^quit: .*qmp\.sock: cannot connect \(ECONNREFUSED\)$/);
  }
});

test('a wrapper is ended with its guest', async () => {
  const host = new FakeMachine();
  host.process(20, ['timeout', '240', ...argv], '/usr/bin/timeout');
  host.process(21, argv);
  await stopGuest(host, { uuid, folder });
  assert.deepEqual([...host.processes.keys()], []);
});

test('a guest is not gone while it is torn down: its devices are still held', async () => {
  const host = new FakeMachine();
  const dying = host.process(30, argv);
  const end = host.clock.now() + 7000;
  // SIGTERM empties the command line at once; the process stays for a while.
  dying.onSignal = () => {
    dying.argv = [];
  };
  const list = host.files.list.bind(host.files);
  const readText = host.files.readText.bind(host.files);
  host.files.list = list;
  host.files.readText = async (path) => {
    if (host.clock.now() > end) host.processes.delete(30);
    return await readText(path);
  };
  const stopped = await stopGuest(host, { uuid, folder });
  assert.ok(stopped.took >= 7000, `${stopped.took}`);
  assert.deepEqual(host.signals, ['SIGTERM 30', 'SIGKILL 30']);
});

test('a process that got the number of the guest is left alone', async () => {
  const host = new FakeMachine();
  const first = host.process(30, argv);
  host.sockets.set(files.qmp, (_, reply) => {
    reply({});
    host.process(30, ['vi'], '/usr/bin/vi').started = first.started + 5;
  });
  assert.equal((await stopGuest(host, { uuid, folder })).by, 'quit');
  assert.deepEqual([host.signals, [...host.processes.keys()]], [[], [30]]);
});

test('a guest that not even SIGKILL ends is an error', async () => {
  const host = new FakeMachine();
  host.process(30, argv).onSignal = () => {};
  await assert.rejects(
    stopGuest(host, { uuid, folder }),
    (error) => error instanceof HostError && error.errno === 'EBUSY' && /process 30/.test(error.message),
  );
});

test('the end of a console longer than can be read at once is found', async () => {
  const host = new FakeMachine();
  host.contents.set(
    '/c',
    Buffer.concat([Buffer.alloc(2 ** 26 + 12345, 'x\n'), Buffer.from('\nlast but one\r\n\x1b[1mlast\x1b[0m\r\n')]),
  );
  assert.deepEqual(await consoleTail(host, '/c', 2), ['last but one', 'last']);
  host.write('/c', 'one\ntwo');
  assert.deepEqual(await consoleTail(host, '/c', 9), ['one', 'two']);
  assert.deepEqual(await consoleTail(host, '/absent', 9), []);
});
