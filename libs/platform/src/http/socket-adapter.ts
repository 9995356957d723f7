import { type BeforeApplicationShutdown, Injectable, Logger, type OnApplicationBootstrap } from '@nestjs/common';
import { DiscoveryService, HttpAdapterHost, ModuleRef } from '@nestjs/core';
import type { IncomingMessage, Server } from 'node:http';
import type { Duplex } from 'node:stream';
import { type WebSocket, WebSocketServer } from 'ws';
import { type Actor, Authenticator } from '#messages/auth';
import { credentialOf } from './access.guard.ts';
import { Drain } from './drain.ts';
import { Draining, NotAllowed, NotAuthenticated, NotFound } from './http.errors.ts';
import { toProblem } from './problem.filter.ts';
import { type AcceptsSockets, SocketEndpoint, type SocketEndpointOptions } from './sockets.ts';
import { visibleProjects } from './visible-projects.ts';

const maxPayload = 4 * 1024 * 1024;
const pingMs = 25_000;
/** How long a client may take to answer the closing handshake before its socket is cut. */
const closeMs = 1000;

interface Endpoint {
  readonly options: SocketEndpointOptions;
  readonly accepts: AcceptsSockets;
}

/** Answers WebSocket upgrades: who is it and may they, before the 101; then the endpoint has the socket. */
@Injectable()
export class SocketServer implements OnApplicationBootstrap, BeforeApplicationShutdown {
  readonly #log = new Logger('sockets');
  readonly #endpoints = new Map<string, Endpoint>();
  readonly #open = new Map<WebSocket, { readonly actorId: string; alive: boolean }>();
  readonly #server = new WebSocketServer({
    noServer: true,
    maxPayload,
    perMessageDeflate: false,
    clientTracking: false,
  });
  #ping: NodeJS.Timeout | undefined;
  #offRevoked: () => void = () => {};

  constructor(
    private readonly host: HttpAdapterHost,
    private readonly discovery: DiscoveryService,
    private readonly modules: ModuleRef,
    private readonly drain: Drain,
  ) {}

  /** How many sockets are open, for the metrics. */
  get openSockets(): number {
    return this.#open.size;
  }

  onApplicationBootstrap(): void {
    for (const wrapper of this.discovery.getProviders()) {
      const options = this.discovery.getMetadataByDecorator(SocketEndpoint, wrapper);
      if (options === undefined) continue;
      if (this.#endpoints.has(options.path)) throw new Error(`Two socket endpoints have the path ${options.path}.`);
      this.#endpoints.set(options.path, { options, accepts: wrapper.instance as AcceptsSockets });
    }
    if (this.#endpoints.size === 0) return;
    (this.host.httpAdapter.getHttpServer() as Server).on('upgrade', (request, socket, head) => {
      socket.on('error', () => socket.destroy());
      this.#upgrade(request, socket, head).catch((error: unknown) => refuse(socket, error));
    });
    this.#offRevoked = this.modules.get(Authenticator, { strict: false }).onRevoked((actorId) => this.#revoke(actorId));
    this.#ping = setInterval(() => this.#pingAll(), pingMs).unref();
  }

  /** Endpoints say goodbye, then every socket is closed with 1001. */
  async beforeApplicationShutdown(): Promise<void> {
    clearInterval(this.#ping);
    this.#offRevoked();
    await Promise.all([...this.#endpoints.values()].map(async ({ accepts }) => accepts.onDrain?.()));
    const sockets = [...this.#open.keys()];
    const closed = sockets.map((socket) => new Promise((resolve) => socket.once('close', resolve)));
    for (const socket of sockets) socket.close(1001, 'the server is stopping');
    const patience = setTimeout(() => sockets.forEach((socket) => socket.terminate()), closeMs);
    await Promise.all(closed);
    clearTimeout(patience);
  }

  async #upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): Promise<void> {
    const path = (request.url ?? '').split('?', 1)[0] ?? '';
    const endpoint = this.#endpoints.get(path);
    if (endpoint === undefined) throw new NotFound();
    if (this.drain.draining) throw new Draining();
    const { options, accepts } = endpoint;
    const credential = credentialOf(request.headers.authorization);
    const authenticator = this.modules.get(Authenticator, { strict: false });
    const actor = credential === null ? null : await authenticator.authenticate(credential);
    if (actor === null) throw new NotAuthenticated();
    if (
      !authenticator.allows(actor, options.permission, null) &&
      visibleProjects(actor, options.permission).length === 0
    ) {
      throw new NotAllowed(options.permission);
    }
    this.#server.handleUpgrade(request, socket, head, (accepted) => this.#accept(accepted, actor, request, accepts));
  }

  #accept(socket: WebSocket, actor: Actor, request: IncomingMessage, accepts: AcceptsSockets): void {
    const state = { actorId: actor.id, alive: true };
    this.#open.set(socket, state);
    socket.on('close', () => this.#open.delete(socket));
    socket.on('pong', () => (state.alive = true));
    // A broken frame or one that is too large: `ws` closes the socket with the right code by itself.
    socket.on('error', (error) => this.#log.debug(`A socket of ${actor.id} failed: ${error.message}`));
    try {
      accepts.onConnection(socket, actor, request);
    } catch (error) {
      this.#log.error(error);
      socket.close(1011, 'server error');
    }
  }

  #revoke(actorId: string): void {
    for (const [socket, state] of this.#open) {
      if (state.actorId !== actorId) continue;
      socket.close(4401, 'the credential was revoked');
      setTimeout(() => socket.terminate(), closeMs).unref();
    }
  }

  #pingAll(): void {
    for (const [socket, state] of this.#open) {
      if (!state.alive) socket.terminate();
      state.alive = false;
      socket.ping();
    }
  }
}

/** Before the 101 the answer is plain HTTP. */
function refuse(socket: Duplex, error: unknown): void {
  const problem = toProblem(error);
  const body = JSON.stringify(problem);
  socket.end(
    [
      `HTTP/1.1 ${problem.status} ${problem.title}`,
      'Content-Type: application/problem+json',
      `Content-Length: ${Buffer.byteLength(body)}`,
      ...(problem.status === 401 ? ['WWW-Authenticate: Bearer realm="Muster"'] : []),
      'Connection: close',
      '',
      body,
    ].join('\r\n'),
  );
}
