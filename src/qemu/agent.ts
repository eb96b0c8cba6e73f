import { type Channel, type Clock, type Host, HostError } from '../host/host.ts';
import { asObject, LineChannel, parseObject, quote, remaining, SLICE } from './lines.ts';
import { QmpError } from './qmp.ts';
import { decodeBase64 } from './text.ts';

/** How a program in the guest ended. */
export interface GuestExit {
  /** Exit status; undefined when a signal ended it. */
  code: number | undefined;
  /** Number of the signal that ended it. */
  signal: number | undefined;
  stdout: Uint8Array;
  stderr: Uint8Array;
  /** The agent keeps at most 16 MiB of each; true when there was more. */
  truncated: boolean;
}

const LINE_LIMIT = 2 ** 25; // characters; 16 MiB of output are 22 Mi in base64
const FILE_LIMIT = 2 ** 24; // bytes
const CHUNK = 2 ** 16; // bytes
const RESYNC = 3000; // milliseconds

/**
 * Opens a conversation with the agent inside a guest.
 * @param path    the socket of the virtio-serial port org.qemu.guest_agent.0
 * @param timeout milliseconds for the agent to answer. It starts late in a guest's boot
 * @throws HostError `ETIMEDOUT` when the agent does not answer, and what {@link Hypervisor.connect} throws
 */
export async function connectAgent(host: Pick<Host, 'hypervisor' | 'clock'>, path: string, timeout: number): Promise<GuestAgent> {
  const channel = await host.hypervisor.connect(path, timeout);
  try {
    return await openAgent(channel, host.clock, path, timeout);
  } catch (error) {
    channel.close();
    throw error;
  }
}

/** As {@link connectAgent}, over a channel that is open. */
export async function openAgent(channel: Channel, clock: Clock, subject: string, timeout: number): Promise<GuestAgent> {
  const agent = new GuestAgent(new LineChannel(channel, subject, LINE_LIMIT), clock);
  await agent.synchronize(timeout);
  return agent;
}

/**
 * The QEMU guest agent (QEMU `docs/interop/qemu-ga-ref`). It is a program of the guest, so what it says is believed no more
 * than the guest is: sizes are bounded and every wait has an end. It takes one command at a time.
 */
export class GuestAgent {
  readonly #lines: LineChannel;
  readonly #clock: Clock;
  #lastId: number;
  #busy: Promise<unknown> = Promise.resolve();
  /** An answer may still be under way to a command that was given up. */
  #late = false;

  constructor(lines: LineChannel, clock: Clock) {
    this.#lines = lines;
    this.#clock = clock;
    // The port keeps what was sent to an agent that was not there, so answers to an earlier conversation can come: ids of
    // two conversations must differ. A double holds milliseconds times 1000 exactly.
    this.#lastId = Math.trunc(clock.now()) * 1000;
  }

  /** Asks until the agent answers, and drops what comes before. Called by {@link openAgent}. */
  async synchronize(timeout: number): Promise<void> {
    const deadline = this.#clock.now() + timeout;
    while (remaining(this.#clock, deadline) > 0) {
      const id = ++this.#lastId;
      // U+0001 is no part of JSON, within a string or outside: it makes the agent's parser drop a half sent command, which
      // a line end would not. The byte FF, used for this elsewhere, is not text.
      await this.#lines.send(`\u0001${JSON.stringify({ execute: 'guest-sync-delimited', arguments: { id }, id })}`);
      const again = Math.min(deadline, this.#clock.now() + RESYNC);
      // Only the newest of our questions counts: answers to the older ones come before it.
      if (await this.#find((line) => answersSync(line, id), again)) {
        this.#late = false;
        return;
      }
    }
    throw new HostError(
      this.#lines.subject,
      `the guest agent does not answer within ${timeout} ms: the guest is not up yet, or qemu-guest-agent does not run in it`,
      'ETIMEDOUT',
    );
  }

  /** @throws HostError `ETIMEDOUT` */
  async ping(timeout = 5000): Promise<void> {
    await this.call('guest-ping', undefined, timeout);
  }

  /**
   * One command of the agent's protocol.
   * @throws QmpError when the agent refuses it, as it does with commands that the guest's administrator turned off
   * @throws HostError `ETIMEDOUT`, `ECONNRESET`, `EPROTO`, `EMSGSIZE`
   */
  async call(command: string, args: Record<string, unknown> | undefined, timeout: number): Promise<unknown> {
    const turn = this.#busy.then(() => this.#call(command, args, timeout));
    this.#busy = turn.catch(() => undefined);
    return await turn;
  }

  /**
   * Runs a program in the guest, without a shell, and waits for its end.
   * @throws QmpError when it cannot be started
   * @throws HostError `ETIMEDOUT` when it still runs then; it is left running
   */
  async exec(path: string, args: readonly string[], options: { timeout?: number } = {}): Promise<GuestExit> {
    const timeout = options.timeout ?? 30_000;
    const deadline = this.#clock.now() + timeout;
    const left = () => Math.max(1, remaining(this.#clock, deadline));
    const started = asObject(await this.call('guest-exec', { path, arg: args, 'capture-output': true }, left()));
    const pid = started?.pid;
    if (typeof pid !== 'number') throw this.#broken('guest-exec gave no pid');
    for (let pause = 10; ; pause = Math.min(pause * 2, 250)) {
      const status = asObject(await this.call('guest-exec-status', { pid }, left()));
      if (status?.exited === true)
        return {
          code: numberOf(status.exitcode),
          signal: numberOf(status.signal),
          stdout: this.#bytes(status['out-data']),
          stderr: this.#bytes(status['err-data']),
          truncated: status['out-truncated'] === true || status['err-truncated'] === true,
        };
      if (status?.exited !== false) throw this.#broken('guest-exec-status does not say whether the program has ended');
      if (remaining(this.#clock, deadline) === 0)
        throw new HostError(
          this.#lines.subject,
          `${path} (process ${pid} of the guest) still runs after ${timeout} ms`,
          'ETIMEDOUT',
        );
      await this.#clock.sleep(Math.min(pause, left()));
    }
  }

  /**
   * Content of a file in the guest.
   * @param options.limit bytes; 16 MiB when absent
   * @throws QmpError when the guest cannot open or read it
   * @throws HostError `EFBIG` beyond the limit, `ETIMEDOUT`
   */
  async readFile(path: string, options: { timeout?: number; limit?: number } = {}): Promise<Uint8Array> {
    const timeout = options.timeout ?? 30_000;
    const limit = options.limit ?? FILE_LIMIT;
    const deadline = this.#clock.now() + timeout;
    const left = () => Math.max(1, remaining(this.#clock, deadline));
    const handle = await this.call('guest-file-open', { path, mode: 'r' }, left());
    const pieces: Uint8Array[] = [];
    let total = 0;
    try {
      for (;;) {
        const answer = asObject(await this.call('guest-file-read', { handle, count: CHUNK }, left()));
        const piece = this.#bytes(answer?.['buf-b64']);
        total += piece.length;
        if (total > limit) throw new HostError(path, `this file of the guest has more than ${limit} bytes`, 'EFBIG');
        pieces.push(piece);
        if (answer?.eof === true) break;
        if (piece.length === 0) throw this.#broken('guest-file-read gives nothing, yet no end of file');
      }
    } finally {
      await this.call('guest-file-close', { handle }, 2000).catch(() => undefined); // what went wrong before is the news
    }
    const content = new Uint8Array(total);
    let at = 0;
    for (const piece of pieces) {
      content.set(piece, at);
      at += piece.length;
    }
    return content;
  }

  close(): void {
    this.#lines.close();
  }

  async #call(command: string, args: Record<string, unknown> | undefined, timeout: number): Promise<unknown> {
    const deadline = this.#clock.now() + timeout;
    if (this.#late) await this.synchronize(timeout);
    const id = ++this.#lastId;
    this.#late = true;
    await this.#lines.send(JSON.stringify({ execute: command, ...(args ? { arguments: args } : {}), id }));
    const answer = await this.#find((line) => {
      const message = parseObject(line);
      if (!message) throw this.#broken(`this is not an answer: ${quote(line)}`);
      // Agents before QEMU 4.0 repeat no id; then order alone tells, and nothing else is under way.
      return message.id === id || message.id === undefined ? message : undefined;
    }, deadline);
    if (!answer)
      throw new HostError(this.#lines.subject, `the guest agent does not answer ${command} within ${timeout} ms`, 'ETIMEDOUT');
    this.#late = false;
    const error = asObject(answer.error);
    if (error) throw new QmpError(command, error);
    if (!('return' in answer)) throw this.#broken(`the answer to ${command} has no return`);
    return answer.return;
  }

  /** Reads lines until one is accepted; undefined at the deadline. Lines that came with it are of no use to anybody. */
  async #find<T>(accept: (line: string) => T | undefined | false, deadline: number): Promise<T | undefined> {
    for (let left = remaining(this.#clock, deadline); left > 0; left = remaining(this.#clock, deadline)) {
      const lines = await this.#lines.receive(Math.min(left, SLICE));
      if (lines === undefined)
        throw new HostError(this.#lines.subject, 'the conversation with the guest agent ended', 'ECONNRESET');
      for (const line of lines) {
        const found = line === '' ? undefined : accept(line);
        if (found !== undefined && found !== false) return found;
      }
    }
    return undefined;
  }

  #bytes(value: unknown): Uint8Array {
    if (value === undefined) return new Uint8Array(0);
    const bytes = typeof value === 'string' ? decodeBase64(value) : undefined;
    if (!bytes) throw this.#broken('data of the guest agent is not base64');
    return bytes;
  }

  #broken(what: string): HostError {
    return new HostError(this.#lines.subject, `the guest agent breaks its protocol: ${what}`, 'EPROTO');
  }
}

/** The answer comes after the byte FF, which is no text: decoders make U+FFFD (UTF-8) or U+00FF (Latin-1) of it. */
function answersSync(line: string, id: number): boolean {
  const at = Math.max(line.lastIndexOf('\ufffd'), line.lastIndexOf('\u00ff'));
  return at >= 0 && parseObject(line.slice(at + 1))?.return === id;
}

function numberOf(value: unknown): number | undefined {
  return typeof value === 'number' ? value : undefined;
}
