import { type Channel, type Clock, type Host, HostError } from '../host/host.ts';
import { asObject, LineChannel, parseObject, quote, remaining, SLICE } from './lines.ts';

/** QEMU or the guest agent refused a command: `error` of its answer. */
export class QmpError extends Error {
  override readonly name = 'QmpError';
  readonly command: string;
  /** `GenericError`, `CommandNotFound`, `DeviceNotFound` ... */
  readonly class: string;
  /** For people; its wording changes between versions. */
  readonly desc: string;
  constructor(command: string, error: Record<string, unknown>) {
    const desc = typeof error.desc === 'string' ? error.desc : 'no description';
    super(`${command}: ${desc}`);
    this.command = command;
    this.class = typeof error.class === 'string' ? error.class : 'GenericError';
    this.desc = desc;
  }
}

export interface QmpEvent {
  event: string;
  data: Record<string, unknown>;
  /** Milliseconds since the Unix epoch by QEMU's clock; undefined when QEMU could not read it. */
  at: number | undefined;
}

export interface QmpOptions {
  /** Characters that one line may have; 16 Mi when absent (`query-qmp-schema` is about 0.3 Mi). */
  lineLimit?: number;
  /** Events kept until somebody waits for them; the oldest go first. 1000 when absent. */
  eventLimit?: number;
}

/**
 * Opens a QMP conversation with the QEMU that listens at `path`.
 * @param timeout milliseconds for the socket, and again for the greeting
 * @throws HostError as {@link openQmp} and {@link Hypervisor.connect} do
 */
export async function connectQmp(host: Pick<Host, 'hypervisor' | 'clock'>, path: string, timeout: number): Promise<Qmp> {
  const channel = await host.hypervisor.connect(path, timeout);
  try {
    return await openQmp(channel, host.clock, path, timeout);
  } catch (error) {
    channel.close();
    throw error;
  }
}

/**
 * Waits for QEMU's greeting and leaves its negotiation mode (QEMU `docs/interop/qmp-spec`).
 * @throws HostError `ETIMEDOUT` without a greeting: one QMP socket talks to one program at a time; `EPROTO` when it is not QMP
 */
export async function openQmp(
  channel: Channel,
  clock: Pick<Clock, 'now'>,
  subject: string,
  timeout: number,
  options: QmpOptions = {},
): Promise<Qmp> {
  const qmp = new Qmp(new LineChannel(channel, subject, options.lineLimit ?? 2 ** 24), clock, options.eventLimit ?? 1000);
  await qmp.greet(timeout);
  await qmp.execute('qmp_capabilities', undefined, timeout);
  return qmp;
}

type Answer = { value: unknown } | { error: Record<string, unknown> };

/** A QMP conversation. Several commands may be under way at once; each gets the answer with its id. */
export class Qmp {
  /** The version QEMU greeted with, to be shown. */
  version = '';
  /** Events that nobody has waited for yet, oldest first. */
  readonly events: QmpEvent[] = [];
  /** Events that were dropped because too many were kept. */
  droppedEvents = 0;
  readonly #lines: LineChannel;
  readonly #clock: Pick<Clock, 'now'>;
  readonly #eventLimit: number;
  readonly #waiting = new Map<number, { answer?: Answer }>();
  #greeted = false;
  #lastId = 0;
  #reading: Promise<void> | undefined;
  #failure: HostError | undefined;

  constructor(lines: LineChannel, clock: Pick<Clock, 'now'>, eventLimit: number) {
    this.#lines = lines;
    this.#clock = clock;
    this.#eventLimit = eventLimit;
  }

  /** Waits for the greeting. Called by {@link openQmp}. */
  async greet(timeout: number): Promise<void> {
    if (!(await this.#until(() => this.#greeted, this.#clock.now() + timeout)))
      throw new HostError(
        this.#lines.subject,
        `QEMU does not greet within ${timeout} ms: another program may hold its QMP socket`,
        'ETIMEDOUT',
      );
  }

  /**
   * One command. An answer that comes after its time is up is dropped when it does come, and the conversation goes on.
   * @param timeout milliseconds
   * @returns what the command returns
   * @throws QmpError when QEMU refuses it
   * @throws HostError `ETIMEDOUT`; `ECONNRESET` when QEMU ended the conversation; `EPROTO`, `EMSGSIZE` when what came is not QMP
   */
  async execute(command: string, args?: Record<string, unknown>, timeout = 10_000): Promise<unknown> {
    if (this.#failure) throw this.#failure;
    const id = ++this.#lastId;
    const entry: { answer?: Answer } = {};
    this.#waiting.set(id, entry);
    try {
      const deadline = this.#clock.now() + timeout;
      await this.#lines.send(JSON.stringify({ execute: command, ...(args ? { arguments: args } : {}), id }));
      await this.#until(() => entry.answer !== undefined, deadline);
      if (entry.answer === undefined)
        throw new HostError(this.#lines.subject, `QEMU does not answer ${command} within ${timeout} ms`, 'ETIMEDOUT');
      if ('error' in entry.answer) throw new QmpError(command, entry.answer.error);
      return entry.answer.value;
    } finally {
      this.#waiting.delete(id);
    }
  }

  /**
   * The oldest event of that name that nobody has had, waiting for one when there is none. Undefined when the time is up.
   * @throws HostError when the conversation ends first
   */
  async waitEvent(name: string, timeout: number): Promise<QmpEvent | undefined> {
    const find = () => this.events.findIndex((event) => event.event === name);
    await this.#until(() => find() >= 0, this.#clock.now() + timeout);
    const at = find();
    return at < 0 ? undefined : this.events.splice(at, 1)[0];
  }

  /** Ends the conversation; commands under way fail. */
  close(): void {
    this.#failure ??= new HostError(this.#lines.subject, 'the QMP conversation was closed', 'ECONNRESET');
    this.#lines.close();
  }

  /** Reads until `done` or the deadline. Whoever waits first reads for all; the slice lets each see its own deadline. */
  async #until(done: () => boolean, deadline: number): Promise<boolean> {
    for (;;) {
      if (done()) return true;
      if (this.#failure) throw this.#failure;
      const left = remaining(this.#clock, deadline);
      if (left === 0) return false;
      this.#reading ??= this.#read(Math.min(left, SLICE)).finally(() => {
        this.#reading = undefined;
      });
      await this.#reading;
    }
  }

  async #read(milliseconds: number): Promise<void> {
    try {
      const lines = await this.#lines.receive(milliseconds);
      if (lines === undefined)
        this.#failure ??= new HostError(this.#lines.subject, 'QEMU ended the QMP conversation', 'ECONNRESET');
      for (const line of lines ?? []) if (line !== '') this.#take(line);
    } catch (error) {
      this.#failure ??= error instanceof HostError ? error : new HostError(this.#lines.subject, String(error));
    }
  }

  #take(line: string): void {
    const message = parseObject(line);
    if (!message) throw this.#notQmp(line);
    if (!this.#greeted) {
      const greeting = asObject(message.QMP);
      if (!greeting) throw this.#notQmp(line);
      const version = asObject(greeting.version);
      const numbers = asObject(version?.qemu) ?? {};
      this.version = ['major', 'minor', 'micro']
        .map((part) => (typeof numbers[part] === 'number' ? numbers[part] : '?'))
        .join('.');
      this.#greeted = true;
    } else if (typeof message.event === 'string') {
      const time = asObject(message.timestamp);
      const [seconds, micros] = [Number(time?.seconds ?? -1), Number(time?.microseconds ?? -1)];
      this.events.push({
        event: message.event,
        data: asObject(message.data) ?? {},
        at: seconds >= 0 && micros >= 0 ? seconds * 1000 + micros / 1000 : undefined,
      });
      if (this.events.length > this.#eventLimit) {
        this.events.shift();
        this.droppedEvents++;
      }
    } else if ('return' in message || 'error' in message) {
      const error = asObject(message.error);
      // Without an id it is about a line that QEMU could not even read: which of ours, it does not say.
      if (message.id === undefined) throw this.#notQmp(line);
      const entry = this.#waiting.get(Number(message.id));
      if (entry) entry.answer ??= error ? { error } : { value: message.return };
    } else throw this.#notQmp(line);
  }

  #notQmp(line: string): HostError {
    return new HostError(this.#lines.subject, `this is not QMP: ${quote(line)}`, 'EPROTO');
  }
}
