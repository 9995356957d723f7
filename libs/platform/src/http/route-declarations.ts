import { type INestApplication, RequestMethod } from '@nestjs/common';
import { METHOD_METADATA, PATH_METADATA } from '@nestjs/common/constants.js';
import { DiscoveryService, MetadataScanner, Reflector } from '@nestjs/core';
import { publicRoute, type RouteAccess, routeAccess } from './permissions.ts';
import { findGateways } from './socket-gateway.ts';

export interface DeclaredRoute {
  readonly route: string;
  /** Null: anybody may call it. */
  readonly permission: string | null;
}

/**
 * Refuses to boot when a route says neither what permission it needs nor that it is public, or when a gateway does not say
 * which permission opens it. Returns what was declared.
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
  for (const found of findGateways(discovery)) {
    if (found.wrong === undefined)
      declared.push({ route: `SOCKET ${found.path}`, permission: found.access.permission });
    else silent.push(found.wrong);
  }
  if (silent.length > 0) throw new Error(`These routes do not declare who may call them:\n  ${silent.join('\n  ')}`);
  return declared;
}
