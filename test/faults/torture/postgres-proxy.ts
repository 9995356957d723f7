import { createServer, connect, type Server, type Socket } from 'node:net';
import { isDurableWrite } from './durable-write.ts';
import type { Random } from './random.ts';

/**
 * Stands between the servers and PostgreSQL and loses replies: now and then the answer to a commit is thrown away together
 * with its connection, after PostgreSQL has given it. Whoever waited for it cannot know whether the commit happened.
 */
export class PostgresProxy {
  /** What was sent as a commit, and how many of those lost their answers. */
  commits = 0;
  cut = 0;
  /** Share of the commits; 0 until the torture begins. */
  rate = 0;
  readonly #server: Server;
  readonly #open = new Set<Socket>();

  readonly #upstreamPort: () => number;
  readonly #random: Random;

  constructor(upstreamPort: () => number, random: Random) {
    this.#upstreamPort = upstreamPort;
    this.#random = random;
    this.#server = createServer((client) => this.#carry(client));
  }

  listen(): Promise<number> {
    return new Promise((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen(0, '127.0.0.1', () => {
        const address = this.#server.address();
        resolve(typeof address === 'object' && address !== null ? address.port : 0);
      });
    });
  }

  async close(): Promise<void> {
    for (const socket of this.#open) socket.destroy();
    await new Promise((done) => this.#server.close(done));
  }

  #carry(client: Socket): void {
    const upstream = connect(this.#upstreamPort(), '127.0.0.1');
    for (const socket of [client, upstream]) {
      socket.setNoDelay(true);
      this.#open.add(socket);
      socket.on('error', () => undefined);
      socket.on('close', () => {
        this.#open.delete(socket);
        client.destroy();
        upstream.destroy();
      });
    }
    const frontend = new FrontendMessages();
    const backend = new BackendMessages();
    let losing = false;
    client.on('data', (chunk: Buffer) => {
      const writes = frontend.read(chunk).filter((sql) => isDurableWrite(sql, backend.inTransaction)).length;
      this.commits += writes;
      for (let each = 0; each < writes; each += 1) losing ||= this.#random.next() < this.rate;
      upstream.write(chunk);
    });
    upstream.on('data', (chunk: Buffer) => {
      // The first word of PostgreSQL's after the commit means that it has answered, and nobody will hear it.
      if (losing) {
        this.cut += 1;
        client.destroy();
        upstream.destroy();
        return;
      }
      backend.read(chunk);
      client.write(chunk);
    });
  }
}

/** What the client sends, as far as it says which statement runs: simple queries, and executions of parsed ones. */
class FrontendMessages {
  #rest: Buffer = Buffer.alloc(0);
  #started = false;
  #bound = '';
  readonly #statements = new Map<string, string>();

  /** The statements that this chunk lets run. */
  read(chunk: Buffer): string[] {
    this.#rest = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    const run: string[] = [];
    for (;;) {
      // Until the start-up message there is no type byte.
      const head = this.#started ? 1 : 0;
      if (this.#rest.length < head + 4) return run;
      const length = this.#rest.readInt32BE(head);
      if (this.#rest.length < head + length) return run;
      const message = this.#rest.subarray(0, head + length);
      this.#rest = this.#rest.subarray(head + length);
      if (!this.#started) {
        this.#started = length >= 8 && message.readInt32BE(4) === 196_608;
        continue;
      }
      const body = message.subarray(5);
      switch (String.fromCharCode(message[0] ?? 0)) {
        case 'Q':
          run.push(textAt(body, 0).text);
          break;
        case 'P': {
          const name = textAt(body, 0);
          this.#statements.set(name.text, textAt(body, name.end).text);
          break;
        }
        case 'B':
          this.#bound = this.#statements.get(textAt(body, textAt(body, 0).end).text) ?? '';
          break;
        case 'E':
          run.push(this.#bound);
          break;
      }
    }
  }
}

function textAt(body: Buffer, from: number): { text: string; end: number } {
  const end = body.indexOf(0, from);
  return { text: body.toString('utf8', from, end < 0 ? body.length : end), end: end < 0 ? body.length : end + 1 };
}

/** What PostgreSQL sends, as far as it says whether a transaction is open. */
class BackendMessages {
  inTransaction = false;
  #head: Buffer = Buffer.alloc(0);
  #skip = 0;

  read(chunk: Buffer): void {
    for (let at = 0; at < chunk.length;) {
      if (this.#skip > 0) {
        const some = Math.min(this.#skip, chunk.length - at);
        this.#skip -= some;
        at += some;
        continue;
      }
      const wanted = (this.#head[0] ?? chunk[at]) === 0x5a ? 6 : 5;
      const some = chunk.subarray(at, at + wanted - this.#head.length);
      this.#head = Buffer.concat([this.#head, some]);
      at += some.length;
      if (this.#head.length < wanted) return;
      if (wanted === 6) this.inTransaction = this.#head[5] !== 0x49;
      else this.#skip = Math.max(0, this.#head.readInt32BE(1) - 4);
      this.#head = Buffer.alloc(0);
    }
  }
}
