import { createServer, connect, type Server, type Socket } from 'node:net';
import type { Random } from './random.ts';

/** A server process as the doors see it. */
export interface Behind {
  readonly name: string;
  readonly port: number;
  readonly ready: boolean;
}

/**
 * Where one client enters: each of its connections goes to one of the servers that are ready, as behind a load balancer. Now
 * and then the door lets a message through and then loses the answer together with the connection.
 */
export class ServerDoor {
  requests = 0;
  cut = 0;
  rate = 0;
  /** The server that the client's newest connection goes to. */
  last: string | null = null;
  readonly #server: Server;
  readonly #open = new Set<Socket>();

  readonly #servers: () => readonly Behind[];
  readonly #random: Random;

  constructor(servers: () => readonly Behind[], random: Random) {
    this.#servers = servers;
    this.#random = random;
    this.#server = createServer((client) => this.#carry(client));
  }

  async listen(): Promise<string> {
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen(0, '127.0.0.1', resolve);
    });
    const address = this.#server.address();
    return `http://127.0.0.1:${typeof address === 'object' && address !== null ? address.port : 0}`;
  }

  async close(): Promise<void> {
    for (const socket of this.#open) socket.destroy();
    await new Promise((done) => this.#server.close(done));
  }

  #carry(client: Socket): void {
    const chosen = this.#random.pick(this.#servers().filter(({ ready }) => ready));
    if (chosen === undefined) {
      client.on('error', () => undefined);
      client.destroy();
      return;
    }
    this.last = chosen.name;
    const upstream = connect(chosen.port, '127.0.0.1');
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
    let losing = false;
    let socketAgent = false;
    client.on('data', (chunk: Buffer) => {
      const head = chunk.subarray(0, 5).toString('latin1');
      // Requests that write, and everything that an agent says on its socket.
      if (head === 'POST ' || socketAgent) {
        this.requests += 1;
        losing ||= this.#random.next() < this.rate;
      }
      socketAgent ||= head.startsWith('GET /') && chunk.includes('/api/runtime/connect');
      upstream.write(chunk);
    });
    upstream.on('data', (chunk: Buffer) => {
      if (losing) {
        this.cut += 1;
        client.destroy();
        upstream.destroy();
      } else client.write(chunk);
    });
  }
}
