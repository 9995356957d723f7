import { connect, type Socket } from 'node:net';

interface Call {
  readonly resolve: (answer: Answer) => void;
  readonly reject: (error: Error) => void;
}
export interface Answer {
  readonly status: number;
  readonly body: string;
}

const headEnd = Buffer.from('\r\n\r\n');

/** One connection, one call at a time, as a caller that waits for its answer makes them. */
class KeptConnection {
  readonly #socket: Socket;
  #call: Call | null = null;
  #read: Buffer = Buffer.alloc(0);
  #broken: Error | null = null;

  constructor(port: number, host: string) {
    this.#socket = connect({ port, host, noDelay: true });
    this.#socket.on('data', (chunk) => this.#take(chunk));
    this.#socket.on('error', (error) => this.#fail(error));
    this.#socket.on('end', () => this.#fail(new Error('The server closed the connection.')));
    this.#socket.on('close', () => this.#fail(new Error('The server closed the connection.')));
  }

  get isClosed(): boolean {
    return this.#broken !== null;
  }

  post(request: string): Promise<Answer> {
    if (this.#broken !== null) return Promise.reject(this.#broken);
    return new Promise((resolve, reject) => {
      this.#call = { resolve, reject };
      this.#socket.write(request);
    });
  }

  end(): void {
    this.#socket.destroy();
  }

  /** An answer has its length in its head: whatever has none is no answer of the routes that are called here. */
  #take(chunk: Buffer): void {
    this.#read = this.#read.length === 0 ? chunk : Buffer.concat([this.#read, chunk]);
    const end = this.#read.indexOf(headEnd);
    if (end < 0) return;
    const head = this.#read.toString('latin1', 0, end);
    const length = /\r\ncontent-length: (\d+)/i.exec(head)?.[1];
    if (length === undefined) return this.#fail(new Error(`An answer without a length:\n${head}`));
    const from = end + headEnd.length;
    const to = from + Number(length);
    if (this.#read.length < to) return;
    const answer = { status: Number(head.slice(9, 12)), body: this.#read.toString('utf8', from, to) };
    this.#read = this.#read.subarray(to);
    const call = this.#call;
    this.#call = null;
    call?.resolve(answer);
  }

  #fail(error: Error): void {
    this.#broken ??= error;
    this.#call?.reject(this.#broken);
    this.#call = null;
  }
}

/**
 * A creator that costs little: caller and server share the cores of a bench, and an HTTP client for everything spends half as much on
 * a call as the server does. Every call is a request of its own over a kept connection, is waited for, and its answer is looked at.
 */
export class KeptConnections {
  readonly #free: KeptConnection[] = [];
  readonly #all = new Set<KeptConnection>();
  readonly #waiting: ((connection: KeptConnection) => void)[] = [];
  readonly #host: string;
  readonly #port: number;
  readonly #atMost: number;

  constructor(url: string, atMost: number) {
    const { hostname, port } = new URL(url);
    this.#host = hostname;
    this.#port = Number(port);
    this.#atMost = atMost;
  }

  async post(path: string, headers: Readonly<Record<string, string>>, body: string): Promise<Answer> {
    const connection = this.#idle() ?? (await this.#another());
    const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
    try {
      return await connection.post(
        `POST ${path} HTTP/1.1\r\nhost: ${this.#host}:${this.#port}\r\n${lines.join('')}content-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
      );
    } finally {
      if (connection.isClosed) this.#drop(connection);
      const next = this.#waiting.shift();
      if (next !== undefined) next(connection.isClosed ? this.#opened() : connection);
      else if (!connection.isClosed) this.#free.push(connection);
    }
  }

  close(): void {
    for (const connection of this.#all) connection.end();
  }

  /** The server closes those over which nothing came for a while. */
  #idle(): KeptConnection | undefined {
    for (let next = this.#free.pop(); next !== undefined; next = this.#free.pop()) {
      if (!next.isClosed) return next;
      this.#drop(next);
    }
    return undefined;
  }

  #another(): KeptConnection | Promise<KeptConnection> {
    if (this.#all.size >= this.#atMost) return new Promise((resolve) => this.#waiting.push(resolve));
    return this.#opened();
  }

  #opened(): KeptConnection {
    const connection = new KeptConnection(this.#port, this.#host);
    this.#all.add(connection);
    return connection;
  }

  #drop(connection: KeptConnection): void {
    connection.end();
    this.#all.delete(connection);
  }
}
