import { type Channel, type Clock, HostError } from '../src/host/host.ts';

/** A clock that moves only when somebody waits on it. */
export class FakeClock implements Clock {
  #now = 1_700_000_000_000;
  now(): number {
    return this.#now;
  }
  advance(milliseconds: number): void {
    this.#now += milliseconds;
  }
  async sleep(milliseconds: number): Promise<void> {
    await turn();
    this.#now += milliseconds;
  }
}

/** One end of a conversation in memory; the test is the other end. A wait for nothing costs time of the fake clock only. */
export class FakeChannel implements Channel {
  /** What was sent to us, whole. */
  sent = '';
  closed = false;
  /** Called with each line we are sent. */
  onLine: ((line: string) => void) | undefined;
  readonly #clock: FakeClock;
  readonly #pieces: (string | undefined)[] = [];
  #line = '';

  constructor(clock: FakeClock) {
    this.#clock = clock;
  }
  /** Text for the other side, in this very piece. */
  push(text: string): void {
    this.#pieces.push(text);
  }
  pushLine(message: unknown): void {
    this.push(`${typeof message === 'string' ? message : JSON.stringify(message)}\r\n`);
  }
  end(): void {
    this.#pieces.push(undefined);
  }
  async send(text: string): Promise<void> {
    await turn();
    this.sent += text;
    this.#line += text;
    for (let at = this.#line.indexOf('\n'); at >= 0; at = this.#line.indexOf('\n')) {
      const line = this.#line.slice(0, at);
      this.#line = this.#line.slice(at + 1);
      this.onLine?.(line);
    }
  }
  async receive(timeout: number): Promise<string | undefined> {
    if (this.#pieces.length === 0) await turn();
    if (this.#pieces.length === 0) {
      this.#clock.advance(timeout);
      throw new HostError('fake', `nothing within ${timeout} ms`, 'ETIMEDOUT');
    }
    return this.#pieces[0] === undefined ? undefined : this.#pieces.shift();
  }
  close(): void {
    this.closed = true;
  }
}

async function turn(): Promise<void> {
  await new Promise((resolve) => setImmediate(resolve));
}
