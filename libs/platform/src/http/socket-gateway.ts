import { Logger } from '@nestjs/common';
import { type DiscoveryService, MetadataScanner } from '@nestjs/core';
import type { OnGatewayConnection } from '@nestjs/websockets';
import {
  GATEWAY_METADATA,
  GATEWAY_OPTIONS,
  MESSAGE_MAPPING_METADATA,
  PORT_METADATA,
} from '@nestjs/websockets/constants.js';
import type { WebSocket } from 'ws';
import type { Actor } from '#messages/auth';
import { type RouteAccess, routeAccess } from './permissions.ts';

/**
 * What a class with `@WebSocketGateway({ path })` and `@Requires(permission)` extends. Whoever connects was authenticated,
 * and had the permission, before the 101. Frames are at most 4 MiB. The server pings, closes the socket with 4401 when the
 * actor's credential is revoked and with 1001 when it drains.
 *
 * Gateways read the frames themselves: a frame of the agent protocol is an array of messages that are handled in order and
 * answered together, and the socket is paused while too many wait. `@SubscribeMessage` hands on one message per frame.
 */
export abstract class SocketGateway implements OnGatewayConnection<WebSocket> {
  /** Nest throws what escapes from here at the process; it is the socket that has to end, not the server. */
  handleConnection(socket: WebSocket, actor: Actor): void {
    try {
      this.onConnection(socket, actor);
    } catch (error) {
      new Logger('sockets').error(error);
      socket.close(1011, 'server error');
    }
  }

  /** The server is stopping: say goodbye on open sockets. They are closed afterwards. */
  onDrain(): void | Promise<void> {}

  protected abstract onConnection(socket: WebSocket, actor: Actor): void;
}

export type FoundGateway =
  | { readonly path: string; readonly access: RouteAccess; readonly gateway: SocketGateway; readonly wrong?: never }
  | { readonly wrong: string };

/** Every gateway, wherever it is provided, or what is wrong with it. */
export function findGateways(discovery: DiscoveryService): FoundGateway[] {
  const paths = new Set<string>();
  return discovery.getProviders().flatMap(({ metatype, instance }): FoundGateway[] => {
    if (typeof metatype !== 'function' || !Reflect.hasMetadata(GATEWAY_METADATA, metatype)) return [];
    const gateway: unknown = instance;
    const { path } = Reflect.getMetadata(GATEWAY_OPTIONS, metatype) as { path?: string };
    const access = Reflect.getMetadata(routeAccess, metatype) as RouteAccess | undefined;
    const wrong = (advice: string): FoundGateway[] => [{ wrong: `${metatype.name}: ${advice}` }];
    if (path === undefined || Reflect.getMetadata(PORT_METADATA, metatype) !== 0)
      return wrong("name a path, and no port: @WebSocketGateway({ path: '/api/...' })");
    if (access === undefined) return wrong("add @Requires('<permission>'); no socket is open to anybody");
    if (!(gateway instanceof SocketGateway)) return wrong('extend SocketGateway');
    if (subscribes(metatype.prototype as object))
      return wrong('read the frames in onConnection; nothing calls @SubscribeMessage');
    if (paths.has(path)) return wrong(`another gateway has the path ${path}`);
    paths.add(path);
    return [{ path, access, gateway }];
  });
}

function subscribes(prototype: object): boolean {
  return new MetadataScanner().getAllMethodNames(prototype).some((name) => {
    const method: unknown = Reflect.get(prototype, name);
    return typeof method === 'function' && Reflect.hasMetadata(MESSAGE_MAPPING_METADATA, method);
  });
}
