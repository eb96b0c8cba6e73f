import { type Channel, type Clock, HostError } from '../host/host.ts';

/**
 * Cuts a stream of text into lines, whatever pieces it arrives in. The text of an unfinished line is kept, up to a limit:
 * a peer that never ends a line cannot make it grow.
 */
export class LineBuffer {
  readonly #limit: number;
  #parts: string[] = [];
  #held = 0;

  /** @param limit characters that one line may have */
  constructor(limit: number) {
    this.#limit = limit;
  }

  /** Complete lines without their ends. @throws RangeError when a line is longer than the limit */
  push(text: string): string[] {
    const pieces = text.split('\n');
    const lines: string[] = [];
    for (const [i, piece] of pieces.entries()) {
      this.#held += piece.length;
      if (this.#held > this.#limit) throw new RangeError(`a line is longer than ${this.#limit} characters`);
      if (piece !== '') this.#parts.push(piece);
      // A peer that sends single characters must not cost a string object for each.
      if (this.#parts.length > 64 + this.#held / 256) this.#parts = [this.#parts.join('')];
      if (i === pieces.length - 1) break;
      const line = this.#parts.join('');
      lines.push(line.endsWith('\r') ? line.slice(0, -1) : line);
      this.#parts = [];
      this.#held = 0;
    }
    return lines;
  }
}

/** Lines over a channel. */
export class LineChannel {
  readonly subject: string;
  readonly #channel: Channel;
  readonly #buffer: LineBuffer;
  #ended = false;

  /** @param subject for messages: the path of the socket */
  constructor(channel: Channel, subject: string, limit: number) {
    this.#channel = channel;
    this.subject = subject;
    this.#buffer = new LineBuffer(limit);
  }

  async send(line: string): Promise<void> {
    await this.#channel.send(`${line}\n`);
  }

  /**
   * Lines that one piece of the stream completed: none when it completed none or nothing came in that time, undefined at
   * the end of the stream. What follows the last line end is dropped there.
   * @throws HostError `EMSGSIZE` when a line exceeds the limit, and what the channel throws
   */
  async receive(milliseconds: number): Promise<string[] | undefined> {
    if (this.#ended) return undefined;
    let text: string | undefined;
    try {
      text = await this.#channel.receive(milliseconds);
    } catch (error) {
      if (error instanceof HostError && error.errno === 'ETIMEDOUT') return [];
      throw error;
    }
    if (text === undefined) {
      this.#ended = true;
      return undefined;
    }
    try {
      return this.#buffer.push(text);
    } catch (error) {
      this.#ended = true;
      throw new HostError(this.subject, error instanceof Error ? error.message : String(error), 'EMSGSIZE');
    }
  }

  close(): void {
    this.#ended = true;
    this.#channel.close();
  }
}

/** How long one wait for the peer lasts at most, in milliseconds: several that wait share it, each with its own deadline. */
export const SLICE = 200;

export function remaining(clock: Pick<Clock, 'now'>, deadline: number): number {
  return Math.max(0, deadline - clock.now());
}

/** An object, or undefined when the text is no JSON or another JSON value. */
export function parseObject(text: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return asObject(value);
  } catch {
    return undefined;
  }
}

export function asObject(value: unknown): Record<string, unknown> | undefined {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Record<string, unknown>) : undefined;
}

/** A beginning of what a peer sent, to be quoted in a message. */
export function quote(text: string): string {
  return JSON.stringify(text.length > 60 ? `${text.slice(0, 60)}...` : text);
}
