import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FakeChannel, FakeClock } from '../../test/channel.ts';
import { HostError } from '../host/host.ts';
import { openAgent } from './agent.ts';
import { QmpError } from './qmp.ts';

interface Request {
  execute: string;
  arguments: Record<string, unknown>;
  id: number;
}
type Reply = { return: unknown } | { error: unknown } | undefined | string;
const base64 = (text: string) => Buffer.from(text).toString('base64');

/** An agent that answers guest-sync-delimited, and what `answer` says to the rest; undefined is silence. */
function agent(
  answer: (request: Request) => Reply,
  delimiter = '\ufffd',
  echo = true,
): { clock: FakeClock; channel: FakeChannel } {
  const clock = new FakeClock();
  const channel = new FakeChannel(clock);
  channel.onLine = (line) => {
    // As the parser of the agent does: what stands before a character that JSON has not is an error of its own.
    const request = JSON.parse(line.slice(line.lastIndexOf('\u0001') + 1)) as Request;
    const id = echo ? { id: request.id } : {};
    if (request.execute === 'guest-sync-delimited')
      channel.push(`${delimiter}${JSON.stringify({ return: request.arguments.id, ...id })}\n`);
    else {
      const reply = answer(request);
      if (typeof reply === 'string') channel.push(reply);
      else if (reply) channel.pushLine({ ...reply, ...id });
    }
  };
  return { clock, channel };
}
const opened = async (answer: (request: Request) => Reply, timeout = 10_000) => {
  const { clock, channel } = agent(answer);
  return { agent: await openAgent(channel, clock, '/run/agent.sock', timeout), clock, channel };
};
const failsWith = (errno: string, message?: RegExp) => (error: unknown) => {
  assert.ok(error instanceof HostError, String(error));
  assert.equal(error.errno, errno, error.message);
  if (message) assert.match(error.message, message);
  return true;
};

test('the conversation begins behind whatever an earlier one left', async () => {
  for (const [delimiter, echo] of [
    ['\ufffd', true],
    ['\u00ff', false],
  ] as const) {
    const { clock, channel } = agent(() => ({ return: {} }), delimiter, echo);
    channel.push(
      '{"return": 17}\n\ufffd{"return": 1234}\nrt-data": "AAAA"}}\n{"error": {"class": "GenericError", "desc": "x"}}\nhalf a li',
    );
    await (await openAgent(channel, clock, '/run/agent.sock', 10_000)).ping();
  }
});

test('an agent that is not there yet is asked again, and answers to the earlier questions confuse nobody', async () => {
  const clock = new FakeClock();
  const channel = new FakeChannel(clock);
  const { channel: late } = agent(() => ({ return: 'pong' }));
  const kept: string[] = [];
  channel.onLine = (line) => {
    kept.push(line);
    if (kept.length === 3) {
      // The agent starts and finds all that the port kept for it.
      const ids = kept.map((text) => (JSON.parse(text.slice(1)) as Request).id);
      for (const id of ids) channel.push(`\ufffd${JSON.stringify({ return: id })}\n`);
    } else if (kept.length > 3) {
      late.onLine?.(line);
      channel.pushLine({ return: 'pong', id: (JSON.parse(line) as Request).id });
    }
  };
  const opening = await openAgent(channel, clock, '/run/agent.sock', 60_000);
  assert.equal(await opening.call('guest-ping', undefined, 1000), 'pong');
});

test('an agent that never answers is an error with its time limit', async () => {
  const clock = new FakeClock();
  const before = clock.now();
  await assert.rejects(
    openAgent(new FakeChannel(clock), clock, '/run/agent.sock', 8000),
    failsWith('ETIMEDOUT', /^\/run\/agent\.sock: the guest agent does not answer within 8000 ms: .*qemu-guest-agent/),
  );
  assert.equal(clock.now() - before, 8000);
});

test('a program in the guest gives its status and output', async () => {
  let polls = 0;
  const requests: Request[] = [];
  const { agent: guest } = await opened((request) => {
    requests.push(request);
    if (request.execute === 'guest-exec') return { return: { pid: 77 } };
    if (++polls < 4) return { return: { exited: false } };
    return { return: { exited: true, exitcode: 3, 'out-data': base64('Grüße\0'), 'err-data': base64('no') } };
  });
  const exit = await guest.exec('/bin/x', ['-a', 'b c']);
  assert.deepEqual(
    { ...exit, stdout: Buffer.from(exit.stdout).toString(), stderr: Buffer.from(exit.stderr).toString() },
    { code: 3, signal: undefined, stdout: 'Grüße\0', stderr: 'no', truncated: false },
  );
  assert.deepEqual(requests[0]!.arguments, { path: '/bin/x', arg: ['-a', 'b c'], 'capture-output': true });
  assert.deepEqual(requests.at(-1)!.arguments, { pid: 77 });
});

test('a program that a signal ended has no exit status', async () => {
  const { agent: guest } = await opened(({ execute }) =>
    execute === 'guest-exec' ? { return: { pid: 1 } } : { return: { exited: true, signal: 9, 'out-truncated': true } },
  );
  assert.deepEqual(await guest.exec('/bin/x', []), {
    code: undefined,
    signal: 9,
    stdout: new Uint8Array(0),
    stderr: new Uint8Array(0),
    truncated: true,
  });
});

test('a program that runs on beyond its time is an error that names it', async () => {
  const { agent: guest, clock } = await opened(({ execute }) => ({
    return: execute === 'guest-exec' ? { pid: 5 } : { exited: false },
  }));
  const before = clock.now();
  await assert.rejects(
    guest.exec('/bin/sleep', ['100'], { timeout: 4000 }),
    failsWith('ETIMEDOUT', /\/bin\/sleep \(process 5 of the guest\)/),
  );
  assert.ok(clock.now() - before < 4500);
});

test('a command that the guest turned off is a refusal', async () => {
  const { agent: guest } = await opened(() => ({
    error: { class: 'CommandNotFound', desc: 'Command guest-exec has been disabled' },
  }));
  await assert.rejects(guest.exec('/bin/x', []), (error) => error instanceof QmpError && error.class === 'CommandNotFound');
});

test('the late answer to a command that was given up does not become the answer to the next', async () => {
  let silent = true;
  const { agent: guest, channel } = await opened(({ execute }) => (silent ? undefined : { return: execute }));
  await assert.rejects(guest.call('guest-info', undefined, 1000), failsWith('ETIMEDOUT', /does not answer guest-info/));
  silent = false;
  channel.push('{"return": "late, and without an id"}\n');
  assert.equal(await guest.call('guest-ping', undefined, 1000), 'guest-ping');
});

test('commands of several callers go one after another', async () => {
  let inside = 0;
  const { agent: guest } = await opened((request) => {
    inside++;
    assert.equal(inside, 1);
    inside--;
    return { return: request.execute };
  });
  assert.deepEqual(await Promise.all(['a', 'b', 'c'].map((name) => guest.call(name, undefined, 1000))), ['a', 'b', 'c']);
});

/** guest-file-* over one content. */
function files(content: string, step = 5): (request: Request) => Reply {
  let at = 0;
  return ({ execute, arguments: args }) => {
    if (execute === 'guest-file-open')
      return args.path === '/f' ? { return: 1000 } : { error: { class: 'GenericError', desc: 'No such file' } };
    if (execute === 'guest-file-close') return { return: {} };
    const piece = content.slice(at, at + step);
    at += step;
    return { return: { count: piece.length, 'buf-b64': base64(piece), eof: at >= content.length } };
  };
}

test('a file of the guest is read in pieces', async () => {
  const { agent: guest } = await opened(files('processor : 0\nvendor'));
  assert.equal(Buffer.from(await guest.readFile('/f')).toString(), 'processor : 0\nvendor');
  const { agent: empty } = await opened(files(''));
  assert.equal((await empty.readFile('/f')).length, 0);
  await assert.rejects(guest.readFile('/g'), (error) => error instanceof QmpError && error.desc === 'No such file');
});

test('a guest whose file never ends is stopped at the limit, and the file is closed', async () => {
  const asked: string[] = [];
  const endless = files('x'.repeat(10_000), 50);
  const { agent: guest } = await opened((request) => {
    asked.push(request.execute);
    return endless(request);
  });
  await assert.rejects(guest.readFile('/f', { limit: 1000 }), failsWith('EFBIG'));
  assert.equal(asked.at(-1), 'guest-file-close');
});

test('answers that break the protocol are errors, not results', async () => {
  for (const reply of [
    'not json\n',
    '[]\n',
    { return: { exited: true, 'out-data': 'not base64!' } },
    { return: { exited: 'yes' } },
    { return: null },
  ]) {
    const { agent: guest } = await opened(({ execute }) => (execute === 'guest-exec' ? { return: { pid: 1 } } : reply));
    await assert.rejects(guest.exec('/bin/x', []), failsWith('EPROTO'), JSON.stringify(reply));
  }
  const { agent: guest } = await opened(() => ({ return: {} }));
  await assert.rejects(guest.exec('/bin/x', []), failsWith('EPROTO', /no pid/));
});

test('the end of the conversation is an error', async () => {
  const { agent: guest, channel } = await opened(() => undefined);
  channel.end();
  await assert.rejects(guest.ping(), failsWith('ECONNRESET'));
});
