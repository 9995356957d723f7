import { type BeforeApplicationShutdown, Injectable, Logger } from '@nestjs/common';
import { DiscoveryService, HttpAdapterHost, ModuleRef } from '@nestjs/core';
import { AbstractWsAdapter, type GatewayMetadata } from '@nestjs/websockets';
import type { IncomingMessage, Server } from 'node:http';
import type { Duplex } from 'node:stream';
import { type WebSocket, WebSocketServer } from 'ws';
import { type Actor, Authenticator } from '#messages/auth';
import { credentialOf } from './access.guard.ts';
import { Drain } from './drain.ts';
import { Draining, NotAllowed, NotAuthenticated, NotFound } from './http.errors.ts';
import type { RouteAccess } from './permissions.ts';
import { toProblem } from './problem.filter.ts';
import { findGateways, type SocketGateway } from './socket-gateway.ts';
import { visibleProjects } from './visible-projects.ts';

const maxPayload = 4 * 1024 * 1024;
const pingMs = 25_000;
/** How long a client may take to answer the closing handshake before its socket is cut. */
const closeMs = 1000;

interface Endpoint {
  readonly access: RouteAccess;
  readonly gateway: SocketGateway;
  readonly server: WebSocketServer;
}

/**
 * How gateways meet the network, given to `app.useWebSocketAdapter`. Answers WebSocket upgrades: who is it and may they,
 * before the 101; then the gateway has the socket. Nest's own adapter for `ws` accepts first and knows no refusal.
 */
@Injectable()
export class SocketAdapter extends AbstractWsAdapter implements BeforeApplicationShutdown {
  readonly #log = new Logger('sockets');
  readonly #endpoints = new Map<string, Endpoint>();
  readonly #open = new Map<WebSocket, { readonly actorId: string; alive: boolean }>();
  #ping: NodeJS.Timeout | undefined;
  #offRevoked: () => void = () => {};
  #offUpgrade: () => void = () => {};
  #closing = false;

  constructor(
    private readonly host: HttpAdapterHost,
    private readonly discovery: DiscoveryService,
    private readonly modules: ModuleRef,
    private readonly drain: Drain,
  ) {
    super();
  }

  /** How many sockets are open, for the metrics. */
  get openSockets(): number {
    return this.#open.size;
  }

  /** Nest calls this for each gateway while it starts, before the port is opened. */
  override create(_port: number, { path }: GatewayMetadata = {}): WebSocketServer {
    const gateways = findGateways(this.discovery);
    const found = gateways.find((gateway) => gateway.wrong === undefined && gateway.path === path);
    if (found?.wrong !== undefined || found === undefined) {
      throw new Error(`No gateway declares who may open ${path ?? 'a socket without a path'}.`);
    }
    const server = new WebSocketServer({ noServer: true, maxPayload, perMessageDeflate: false, clientTracking: false });
    if (this.#endpoints.size === 0) this.#listen();
    this.#endpoints.set(found.path, { access: found.access, gateway: found.gateway, server });
    return server;
  }

  /** Gateways read frames themselves; see `SocketGateway`. */
  override bindMessageHandlers(): void {}

  override bindClientDisconnect(client: WebSocket, callback: (code: number) => void): void {
    client.once('close', callback);
  }

  /** Gateways say goodbye, then every socket is closed with 1001; all of it while the rooms can still write. */
  async beforeApplicationShutdown(): Promise<void> {
    this.#closing = true;
    clearInterval(this.#ping);
    this.#offRevoked();
    await Promise.all([...this.#endpoints.values()].map(async ({ gateway }) => gateway.onDrain()));
    const sockets = [...this.#open.keys()];
    const closed = sockets.map((socket) => new Promise((resolve) => socket.once('close', resolve)));
    for (const socket of sockets) socket.close(1001, 'the server is stopping');
    const patience = setTimeout(() => sockets.forEach((socket) => socket.terminate()), closeMs);
    await Promise.all(closed);
    clearTimeout(patience);
  }

  override async dispose(): Promise<void> {
    this.#offUpgrade();
    await super.dispose();
  }

  #listen(): void {
    const http = this.host.httpAdapter.getHttpServer() as Server;
    const onUpgrade = (request: IncomingMessage, socket: Duplex, head: Buffer): void => {
      socket.on('error', () => socket.destroy());
      this.#upgrade(request, socket, head).catch((error: unknown) => refuse(socket, error));
    };
    http.on('upgrade', onUpgrade);
    this.#offUpgrade = () => http.off('upgrade', onUpgrade);
    this.#offRevoked = this.modules.get(Authenticator, { strict: false }).onRevoked((actorId) => this.#revoke(actorId));
    this.#ping = setInterval(() => this.#pingAll(), pingMs).unref();
  }

  async #upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): Promise<void> {
    const path = (request.url ?? '').split('?', 1)[0] ?? '';
    const endpoint = this.#endpoints.get(path);
    if (endpoint === undefined) throw new NotFound();
    this.#assertServing();
    const { permission, scope = 'any' } = endpoint.access;
    const credential = credentialOf(request.headers.authorization);
    const authenticator = this.modules.get(Authenticator, { strict: false });
    const actor = credential === null ? null : await authenticator.authenticate(credential);
    if (actor === null) throw new NotAuthenticated();
    const allowed =
      authenticator.allows(actor, permission, null) ||
      (scope === 'any' && visibleProjects(actor, permission).length > 0);
    if (!allowed) throw new NotAllowed(permission);
    // The drain may have begun while the credential was looked up.
    this.#assertServing();
    endpoint.server.handleUpgrade(request, socket, head, (accepted) => {
      this.#watch(accepted, actor);
      endpoint.server.emit('connection', accepted, actor);
    });
  }

  #assertServing(): void {
    if (this.drain.draining || this.#closing) throw new Draining();
  }

  #watch(socket: WebSocket, actor: Actor): void {
    const state = { actorId: actor.id, alive: true };
    this.#open.set(socket, state);
    socket.on('close', () => this.#open.delete(socket));
    socket.on('pong', () => (state.alive = true));
    // A broken frame or one that is too large: `ws` closes the socket with the right code by itself.
    socket.on('error', (error) => this.#log.debug(`A socket of ${actor.id} failed: ${error.message}`));
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
