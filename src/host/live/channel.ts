import { createConnection, type Socket } from 'node:net';
import { type Channel, HostError } from '../host.ts';
import { errnoOf, hostError } from './errors.ts';

/**
 * Connects to a UNIX socket.
 * @param limit milliseconds
 * @throws HostError `ENOENT`, `ECONNREFUSED`, `ETIMEDOUT`
 */
export async function connectChannel(file: string, name: string, limit: number): Promise<Channel> {
  const socket = createConnection(file);
  await new Promise<void>((resolve, reject) => {
    const timer = setTimeout(() => {
      socket.destroy();
      reject(new HostError(name, `took no connection for ${limit} ms`, 'ETIMEDOUT'));
    }, limit);
    socket.once('connect', () => {
      clearTimeout(timer);
      resolve();
    });
    socket.once('error', (error) => {
      clearTimeout(timer);
      reject(hostError(name, 'connect', error));
    });
  });
  return new SocketChannel(socket, name);
}

class SocketChannel implements Channel {
  readonly #socket: Socket;
  readonly #name: string;
  readonly #pieces: string[] = [];
  #ended = false;
  #failure: HostError | undefined;
  #wake: (() => void) | undefined;

  constructor(socket: Socket, name: string) {
    this.#socket = socket;
    this.#name = name;
    const woken = (): void => this.#wake?.();
    socket.setEncoding('utf8'); // a character cut by the stream stays whole
    socket.removeAllListeners('error');
    socket.on('data', (piece: string) => {
      this.#pieces.push(piece);
      woken();
    });
    socket.on('error', (error) => {
      const errno = errnoOf(error);
      // The other side went away while it still owed or was owed something: the end of the stream, no more.
      if (errno !== 'EPIPE' && errno !== 'ECONNRESET') this.#failure = new HostError(name, 'the conversation broke', errno);
    });
    socket.on('close', () => {
      this.#ended = true;
      woken();
    });
    socket.on('end', () => {
      this.#ended = true;
      woken();
    });
  }

  async send(text: string): Promise<void> {
    if (this.#ended || this.#socket.destroyed) throw new HostError(this.#name, 'the conversation is over', 'EPIPE');
    await new Promise<void>((resolve, reject) => {
      this.#socket.write(text, (error) => (error ? reject(hostError(this.#name, 'send', error)) : resolve()));
    });
  }

  async receive(timeout: number): Promise<string | undefined> {
    if (this.#wake) throw new Error('this conversation is being listened to already');
    if (this.#pieces.length === 0 && !this.#ended) await this.#event(timeout);
    if (this.#pieces.length > 0) return this.#pieces.splice(0).join('');
    if (this.#failure) throw this.#failure;
    if (this.#ended) return undefined;
    throw new HostError(this.#name, `said nothing for ${timeout} ms`, 'ETIMEDOUT');
  }

  /** Waits for text, the end or the time. */
  async #event(timeout: number): Promise<void> {
    await new Promise<void>((done) => {
      const end = (): void => {
        clearTimeout(timer);
        this.#wake = undefined;
        done();
      };
      const timer = setTimeout(end, timeout);
      this.#wake = end;
    });
  }

  close(): void {
    this.#socket.destroy();
  }
}
