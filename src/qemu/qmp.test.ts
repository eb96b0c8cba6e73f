import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { anyText } from '../../test/any-text.ts';
import { FakeChannel, FakeClock } from '../../test/channel.ts';
import { HostError } from '../host/host.ts';
import { LineBuffer } from './lines.ts';
import { openQmp, type Qmp, QmpError, type QmpOptions } from './qmp.ts';

const GREETING = { QMP: { version: { qemu: { micro: 2, minor: 0, major: 10 }, package: 'Debian' }, capabilities: ['oob'] } };
interface Request {
  execute: string;
  arguments?: Record<string, unknown>;
  id: number;
}

/** A QEMU that greets, accepts qmp_capabilities, and leaves the rest to `answer`. */
async function open(
  answer: (request: Request, channel: FakeChannel) => void,
  options?: QmpOptions,
): Promise<{ qmp: Qmp; channel: FakeChannel; clock: FakeClock }> {
  const clock = new FakeClock();
  const channel = new FakeChannel(clock);
  channel.onLine = (line) => {
    const request = JSON.parse(line) as Request;
    if (request.execute === 'qmp_capabilities') channel.pushLine({ return: {}, id: request.id });
    else answer(request, channel);
  };
  channel.pushLine(GREETING);
  return { qmp: await openQmp(channel, clock, '/run/qmp.sock', 1000, options), channel, clock };
}
const failsWith = (errno: string, message?: RegExp) => (error: unknown) => {
  assert.ok(error instanceof HostError, String(error));
  assert.equal(error.errno, errno);
  assert.equal(error.subject, '/run/qmp.sock');
  if (message) assert.match(error.message, message);
  return true;
};

test('a command returns what QEMU returned', async () => {
  const { qmp, channel } = await open(({ id }, peer) => peer.pushLine({ return: { status: 'running' }, id }));
  assert.equal(qmp.version, '10.0.2');
  assert.deepEqual(await qmp.execute('query-status'), { status: 'running' });
  assert.deepEqual(await qmp.execute('qom-get', { path: '/machine', property: 'type' }), { status: 'running' });
  assert.deepEqual(JSON.parse(channel.sent.trim().split('\n').at(-1)!), {
    execute: 'qom-get',
    arguments: { path: '/machine', property: 'type' },
    id: 3,
  });
});

test('a refusal of QEMU is an error with its class and description', async () => {
  const { qmp } = await open(({ id }, peer) =>
    peer.pushLine({ id, error: { class: 'DeviceNotFound', desc: "Device 'x' not found" } }),
  );
  await assert.rejects(qmp.execute('device_del', { id: 'x' }), (error) => {
    assert.ok(error instanceof QmpError);
    assert.deepEqual([error.command, error.class, error.desc], ['device_del', 'DeviceNotFound', "Device 'x' not found"]);
    return true;
  });
});

test('whatever the pieces that the stream arrives in, the answers and events are the same', () =>
  fc.assert(
    fc.asyncProperty(
      fc.array(
        fc.oneof(
          fc.record({ event: fc.constantFrom('STOP', 'RESUME') }),
          fc.json().map((text) => ({ value: JSON.parse(text) as unknown })),
        ),
        {
          minLength: 1,
          maxLength: 8,
        },
      ),
      fc.array(fc.nat({ max: 400 }), { maxLength: 12 }),
      fc.constantFrom('\n', '\r\n'),
      async (messages, cuts, lineEnd) => {
        const answers = messages.flatMap((message) => ('value' in message ? [message.value] : []));
        const requests: Request[] = [];
        const { qmp } = await open((request, peer) => {
          requests.push(request);
          if (requests.length < answers.length) return;
          const ids = requests.map((r) => r.id);
          const text = messages
            .map((m) =>
              'value' in m ? { return: m.value, id: ids.shift() } : { ...m, timestamp: { seconds: 5, microseconds: 6000 } },
            )
            .map((m) => JSON.stringify(m) + lineEnd)
            .join('');
          const places = [0, ...cuts.map((cut) => cut % (text.length + 1)).sort((a, b) => a - b), text.length];
          for (const [i, place] of places.entries()) if (i > 0) peer.push(text.slice(places[i - 1], place));
        });
        if (answers.length === 0) return;
        const got = await Promise.all(answers.map(() => qmp.execute('query-x')));
        assert.deepEqual(got, answers);
        const events = messages.flatMap((m) => ('value' in m ? [] : [{ event: m.event, data: {}, at: 5006 }]));
        // Events behind the last answer may not have been read yet.
        for (const event of events) assert.deepEqual(await qmp.waitEvent(event.event, 1000), event);
      },
    ),
    { numRuns: 200 },
  ));

test('several commands under way each get their own answer, whatever the order', async () => {
  const held: Request[] = [];
  const { qmp } = await open((request, peer) => {
    held.push(request);
    if (held.length === 3) for (const { id, execute } of held.reverse()) peer.pushLine({ return: execute, id });
  });
  assert.deepEqual(await Promise.all(['a', 'b', 'c'].map((name) => qmp.execute(name))), ['a', 'b', 'c']);
});

test('a command that is not answered in its time fails, and its late answer is nobody else’s', async () => {
  let first: number | undefined;
  const { qmp, clock } = await open(({ execute, id }, peer) => {
    if (execute === 'slow') first = id;
    else {
      peer.pushLine({ return: 'late', id: first });
      peer.pushLine({ return: 'mine', id });
    }
  });
  const before = clock.now();
  await assert.rejects(qmp.execute('slow', undefined, 3000), failsWith('ETIMEDOUT', /does not answer slow within 3000 ms/));
  assert.equal(clock.now() - before, 3000);
  assert.equal(await qmp.execute('quick'), 'mine');
});

test('a short wait is not held up by a long one', async () => {
  const { qmp, clock } = await open(() => undefined);
  const before = clock.now();
  const long = qmp.execute('long', undefined, 60_000).catch(() => clock.now() - before);
  await assert.rejects(qmp.execute('short', undefined, 500), failsWith('ETIMEDOUT'));
  assert.ok(clock.now() - before <= 900, `${clock.now() - before}`);
  assert.equal(await long, 60_000);
});

test('events are kept until somebody waits for them, each for one waiter', async () => {
  const { qmp } = await open(({ id }, peer) => {
    peer.pushLine({ event: 'SHUTDOWN', data: { guest: true }, timestamp: { seconds: -1, microseconds: -1 } });
    peer.pushLine({ return: 1, id });
  });
  await qmp.execute('x');
  assert.deepEqual(await qmp.waitEvent('SHUTDOWN', 100), { event: 'SHUTDOWN', data: { guest: true }, at: undefined });
  assert.equal(await qmp.waitEvent('SHUTDOWN', 100), undefined);
});

test('an event right before the end of the stream is still had', async () => {
  const { qmp } = await open((_, peer) => {
    peer.pushLine({ event: 'SHUTDOWN', timestamp: { seconds: 1, microseconds: 0 } });
    peer.end();
  });
  await assert.rejects(qmp.execute('quit'), failsWith('ECONNRESET'));
  assert.equal((await qmp.waitEvent('SHUTDOWN', 100))?.event, 'SHUTDOWN');
  await assert.rejects(qmp.waitEvent('SHUTDOWN', 100), failsWith('ECONNRESET'));
  await assert.rejects(qmp.execute('more'), failsWith('ECONNRESET'));
});

test('a flood of events is bounded, the newest are kept and the lost ones are counted', async () => {
  const { qmp } = await open(
    ({ id }, peer) => {
      for (let i = 0; i < 5000; i++) peer.pushLine({ event: `E${i}`, timestamp: { seconds: 1, microseconds: 0 } });
      peer.pushLine({ return: 1, id });
    },
    { eventLimit: 100 },
  );
  await qmp.execute('x');
  assert.equal(qmp.events.length, 100);
  assert.equal(qmp.events.at(-1)?.event, 'E4999');
  assert.equal(qmp.droppedEvents, 4900);
});

test('a line without end is refused at its limit, and the memory it took with it', async () => {
  const { qmp, channel } = await open(() => undefined, { lineLimit: 10_000 });
  for (let i = 0; i < 20; i++) channel.push('x'.repeat(1000));
  await assert.rejects(qmp.execute('x'), failsWith('EMSGSIZE', /longer than 10000 characters/));
});

test('what is not QMP ends the conversation and is quoted', async () => {
  for (const garbage of [
    'hello',
    '[1]',
    '7',
    'null',
    '{"a":1}',
    '{"error":{"class":"GenericError","desc":"JSON parse error"}}',
    '{"return":1}',
  ]) {
    const { qmp } = await open((_, peer) => peer.pushLine(garbage));
    await assert.rejects(qmp.execute('x'), failsWith('EPROTO', /this is not QMP: /), garbage);
    await assert.rejects(qmp.execute('x'), failsWith('EPROTO'), garbage);
  }
});

test('any garbage in any pieces ends in one of the errors that are documented', () =>
  fc.assert(
    fc.asyncProperty(fc.array(anyText(40), { maxLength: 6 }), fc.boolean(), async (pieces, ends) => {
      const { qmp } = await open((_, peer) => {
        for (const piece of pieces) peer.push(piece);
        if (ends) peer.end();
      });
      await assert.rejects(qmp.execute('x'), (error) => {
        assert.ok(error instanceof HostError && ['ETIMEDOUT', 'EPROTO', 'ECONNRESET'].includes(error.errno!), String(error));
        return true;
      });
    }),
  ));

test('a dead QMP socket: no greeting comes, and the message says what may hold it', async () => {
  const clock = new FakeClock();
  await assert.rejects(
    openQmp(new FakeChannel(clock), clock, '/run/qmp.sock', 2000),
    failsWith('ETIMEDOUT', /does not greet within 2000 ms: another program may hold/),
  );
  const http = new FakeChannel(clock);
  http.push('HTTP/1.1 400 Bad Request\r\n');
  await assert.rejects(openQmp(http, clock, '/run/qmp.sock', 2000), failsWith('EPROTO', /not QMP: "HTTP/));
});

test('closing fails the commands under way', async () => {
  const { qmp, channel } = await open(() => undefined);
  const running = qmp.execute('x');
  qmp.close();
  await assert.rejects(running, failsWith('ECONNRESET'));
  assert.equal(channel.closed, true);
});

test('lines are the same whatever pieces they come in', () =>
  fc.assert(
    fc.property(fc.array(fc.string({ unit: fc.constantFrom('a', '\r', 'é') })), fc.array(fc.nat(200)), (lines, cuts) => {
      const text = lines.map((line) => `${line}\r\n`).join('');
      const places = [0, ...cuts.map((cut) => cut % (text.length + 1)).sort((a, b) => a - b), text.length];
      const buffer = new LineBuffer(1000);
      assert.deepEqual(
        places.slice(1).flatMap((place, i) => buffer.push(text.slice(places[i], place))),
        lines,
      );
    }),
  ));

test('a line of the limit is taken and one character more is not', () => {
  assert.deepEqual(new LineBuffer(3).push('abc\nd\n'), ['abc', 'd']);
  assert.throws(() => new LineBuffer(3).push('abcd'), RangeError);
  assert.throws(() => {
    const buffer = new LineBuffer(3);
    buffer.push('ab');
    buffer.push('cd');
  }, RangeError);
});

test('a long line is taken from single characters, in time', () => {
  const buffer = new LineBuffer(2 ** 20);
  for (let i = 0; i < 2 ** 18; i++) assert.deepEqual(buffer.push('ab'), []);
  assert.equal(buffer.push('\n')[0], 'ab'.repeat(2 ** 18));
});
