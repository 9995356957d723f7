import { type INestApplication, RequestMethod } from '@nestjs/common';
import { METHOD_METADATA, PATH_METADATA } from '@nestjs/common/constants.js';
import { DiscoveryService, MetadataScanner, Reflector } from '@nestjs/core';
import { publicRoute, type RouteAccess, routeAccess } from './permissions.ts';
import { SocketEndpoint } from './sockets.ts';

export interface DeclaredRoute {
  readonly route: string;
  /** Null: anybody may call it. */
  readonly permission: string | null;
}

/**
 * Refuses to boot when a route says neither what permission it needs nor that it is public, or when a socket is opened by
 * another way than `@SocketEndpoint`. Returns what was declared.
 */
export function assertEveryRouteDeclares(app: INestApplication): DeclaredRoute[] {
  const discovery = app.get(DiscoveryService, { strict: false });
  const scanner = app.get(MetadataScanner, { strict: false });
  const reflector = app.get(Reflector, { strict: false });
  const declared: DeclaredRoute[] = [];
  const silent: string[] = [];

  for (const { metatype, instance } of discovery.getControllers()) {
    if (typeof metatype !== 'function' || typeof instance !== 'object' || instance === null) continue;
    const prototype: object = Object.getPrototypeOf(instance) as object;
    for (const name of scanner.getAllMethodNames(prototype)) {
      const handler: unknown = Reflect.get(prototype, name);
      if (typeof handler !== 'function' || !Reflect.hasMetadata(PATH_METADATA, handler)) continue;
      const targets = [handler, metatype];
      const route = `${RequestMethod[Reflect.getMetadata(METHOD_METADATA, handler) as RequestMethod]} ${metatype.name}.${name}`;
      const access = reflector.getAllAndOverride<RouteAccess | undefined>(routeAccess, targets);
      const open = reflector.getAllAndOverride<true | undefined>(publicRoute, targets);
      if (open === true) declared.push({ route, permission: null });
      else if (access !== undefined) declared.push({ route, permission: access.permission });
      else silent.push(`${route}: add @Requires('<permission>') or @Public()`);
    }
  }
  for (const wrapper of discovery.getProviders()) {
    const { metatype } = wrapper;
    if (typeof metatype !== 'function') continue;
    if (Reflect.hasMetadata('websockets:is_gateway', metatype)) {
      silent.push(`${metatype.name}: a gateway answers anybody; make it a @SocketEndpoint({ path, permission })`);
    }
    const socket = discovery.getMetadataByDecorator(SocketEndpoint, wrapper);
    if (socket !== undefined) declared.push({ route: `SOCKET ${socket.path}`, permission: socket.permission });
  }
  if (silent.length > 0) throw new Error(`These routes do not declare who may call them:\n  ${silent.join('\n  ')}`);
  return declared;
}
