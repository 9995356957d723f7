export { HttpModule } from './http.module.ts';
export { Requires, Public, CurrentActor, type RouteAccess } from './permissions.ts';
export { OwnedIds, type Owner } from './owned-ids.ts';
export { visibleProjects } from './visible-projects.ts';
export { credentialOf } from './access.guard.ts';
export { Idempotent, IdempotentByItself, IdempotentRequests, type RequestKey } from './idempotent.ts';
export { etagOf, assertIfMatch } from './etag.ts';
export { toProblem } from './problem.filter.ts';
export { readsQuickly, toFieldError } from './validation.ts';
export { type MusterRequest, traceIdOf } from './request.ts';
export { SocketGateway } from './socket-gateway.ts';
export { SubscriptionGateway, SubscribedSocket } from './subscription-gateway.ts';
export {
  NotAuthenticated,
  NotAllowed,
  NotFound,
  InvalidRequest,
  KeyTaken,
  PreconditionFailed,
  Draining,
} from './http.errors.ts';
export { Drain } from './drain.ts';
export { SocketAdapter } from './socket-adapter.ts';
export { assertEveryRouteDeclares, type DeclaredRoute } from './route-declarations.ts';
export { httpAdapter } from './fastify.ts';
export { isNestedTooDeep, maxNesting } from './nesting.ts';
export { goneSignal } from './gone-signal.ts';
