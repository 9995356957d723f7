import { type CanActivate, type ExecutionContext, Injectable } from '@nestjs/common';
import { ModuleRef, Reflector } from '@nestjs/core';
import type { FastifyReply } from 'fastify';
import { type Actor, Authenticator } from '#messages/auth';
import { NotAllowed, NotAuthenticated, NotFound } from './http.errors.ts';
import { OwnedIds } from './owned-ids.ts';
import { publicRoute, type RouteAccess, routeAccess } from './permissions.ts';
import type { MusterRequest } from './request.ts';
import { visibleProjects } from './visible-projects.ts';

/** What follows `Bearer `, or the password of HTTP Basic. */
export function credentialOf(authorization: string | undefined): string | null {
  const [, scheme, value] = /^(bearer|basic) +(\S+)$/i.exec(authorization?.trim() ?? '') ?? [];
  if (scheme === undefined || value === undefined) return null;
  if (scheme.toLowerCase() === 'bearer') return value;
  const pair = Buffer.from(value, 'base64').toString('utf8');
  const password = pair.slice(pair.indexOf(':') + 1);
  return password === '' ? null : password;
}

/**
 * The one guard. Who is it; does everything that the request names belong to them; may they do it there. Somebody else's
 * id answers like none.
 */
@Injectable()
export class AccessGuard implements CanActivate {
  readonly #declared = new Map<unknown, Map<unknown, RouteAccess | 'public'>>();
  #authenticator: Authenticator | undefined;

  constructor(
    private readonly reflector: Reflector,
    private readonly modules: ModuleRef,
    private readonly ownedIds: OwnedIds,
  ) {}

  async canActivate(context: ExecutionContext): Promise<boolean> {
    const access = this.#accessTo(context);
    if (access === 'public') return true;

    const request = context.switchToHttp().getRequest<MusterRequest>();
    const authenticator: Authenticator = (this.#authenticator ??= this.modules.get<Authenticator>(Authenticator, {
      strict: false,
    }));
    const credential = credentialOf(request.headers.authorization);
    const actor = credential === null ? null : await authenticator.authenticate(credential);
    if (actor === null) {
      const reply = context.switchToHttp().getResponse<FastifyReply>();
      void reply.header('www-authenticate', `${access.challenge ?? 'Bearer'} realm="Muster"`);
      throw new NotAuthenticated();
    }
    request.actor = actor;

    const ids = OwnedIds.among(wordsOf(request));
    const owners = ids.length === 0 ? [] : await this.ownedIds.owners(ids, actor.teamId);
    if (owners.length < ids.length || !owners.every((owner) => belongsTo(actor, owner))) throw new NotFound();

    const projects = new Set(owners.flatMap((owner) => (owner.projectId === null ? [] : [owner.projectId])));
    const allowed =
      projects.size > 0
        ? [...projects].every((projectId) => authenticator.allows(actor, access.permission, projectId))
        : authenticator.allows(actor, access.permission, null) ||
          (owners.length === 0 &&
            (access.scope ?? (request.method === 'GET' ? 'any' : 'team')) === 'any' &&
            visibleProjects(actor, access.permission).length > 0);
    if (!allowed) throw new NotAllowed(access.permission);
    return true;
  }

  /** What the route declares; looked up once for each route. */
  #accessTo(context: ExecutionContext): RouteAccess | 'public' {
    const targets = [context.getHandler(), context.getClass()] as const;
    const routes = this.#declared.get(targets[1]) ?? new Map<unknown, RouteAccess | 'public'>();
    this.#declared.set(targets[1], routes);
    let access = routes.get(targets[0]);
    if (access === undefined) {
      access =
        this.reflector.getAllAndOverride<true | undefined>(publicRoute, [...targets]) === true
          ? 'public'
          : this.reflector.getAllAndOverride<RouteAccess | undefined>(routeAccess, [...targets]);
      if (access === undefined) throw new NotAllowed('that nobody has: the route declares none');
      routes.set(targets[0], access);
    }
    return access;
  }
}

function belongsTo(actor: Actor, owner: { teamId: string; projectId: string | null }): boolean {
  if (actor.kind === 'system') return true;
  if (owner.teamId !== actor.teamId) return false;
  return actor.onlyProjectId === null || owner.projectId === null || owner.projectId === actor.onlyProjectId;
}

/** Path parameters, and the strings at the top of query and body, also in arrays. */
function* wordsOf(request: MusterRequest): Generator<string> {
  for (const part of [request.params, request.query, request.body]) {
    if (typeof part !== 'object' || part === null || Buffer.isBuffer(part)) continue;
    for (const value of Object.values(part as Record<string, unknown>)) {
      if (typeof value === 'string') yield value;
      else if (Array.isArray(value)) for (const item of value as unknown[]) if (typeof item === 'string') yield item;
    }
  }
}
