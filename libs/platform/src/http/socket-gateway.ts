import type { Permission } from '@muster/contracts';
import { DiscoveryService } from '@nestjs/core';
import type { IncomingMessage } from 'node:http';
import type { WebSocket } from 'ws';
import type { Actor } from '#messages/auth';

export interface SocketEndpointOptions {
  /** Exact path, `/api/stream`. */
  readonly path: string;
  /** What the actor needs, in its team or at least in one of its projects, before the upgrade is answered. */
  readonly permission: Permission;
}

/** Marks a provider that implements `AcceptsSockets`. Found wherever it is provided. */
export const SocketEndpoint = DiscoveryService.createDecorator<SocketEndpointOptions>();

export interface AcceptsSockets {
  /**
   * A socket of an actor that was authenticated before the 101. Frames are at most 4 MiB of text. The server pings, closes
   * it with 4401 when the actor's credential is revoked and with 1001 when it drains.
   */
  onConnection(socket: WebSocket, actor: Actor, request: IncomingMessage): void;
  /** The server is stopping: say goodbye on open sockets. They are closed afterwards. */
  onDrain?(): void | Promise<void>;
}
