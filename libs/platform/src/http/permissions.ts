import { createParamDecorator, type ExecutionContext, SetMetadata } from '@nestjs/common';
import type { Permission } from '@muster/contracts';
import type { Actor } from '#messages/auth';
import type { MusterRequest } from './request.ts';

export interface RouteAccess {
  readonly permission: Permission;
  /**
   * Where the permission must hold when the request names nothing that belongs to a project. `team`: in the whole team.
   * `any`: in the team or at least in one project; the handler then filters by `visibleProjects`. Default: `any` for GET,
   * `team` otherwise.
   */
  readonly scope?: 'team' | 'any';
  /** Which scheme a 401 asks for; git speaks Basic. */
  readonly challenge?: 'Bearer' | 'Basic';
}

export const routeAccess = 'muster:access';
export const publicRoute = 'muster:public';

/** The permission that a route (or every route of a controller) needs. Every route has this or `@Public()`, or nothing boots. */
export const Requires = (permission: Permission, options: Omit<RouteAccess, 'permission'> = {}) =>
  SetMetadata<string, RouteAccess>(routeAccess, { permission, ...options });

/** Anybody may call this route. */
export const Public = () => SetMetadata<string, true>(publicRoute, true);

/** Who is acting on this request. */
export const CurrentActor = createParamDecorator((_: unknown, context: ExecutionContext): Actor => {
  const { actor } = context.switchToHttp().getRequest<MusterRequest>();
  if (actor === undefined) throw new Error('A public route has no actor.');
  return actor;
});
