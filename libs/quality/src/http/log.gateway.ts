import { QueryBus } from '@nestjs/cqrs';
import { WebSocketGateway } from '@nestjs/websockets';
import { type VerificationLogMessage, verificationLogSubscribe } from '@muster/contracts';
import type { z } from 'zod';
import { type Actor, Authenticator } from '#messages/auth';
import { NotFound, OwnedIds, Requires, type SubscribedSocket, SubscriptionGateway } from '#platform/http';
import { ReadLog } from '../queries/read-log.ts';

/** At most so many pieces are on their way at a time; `ReadLog` bounds their size. */
const portion = 200;
/** A look that finds nothing waits for so long, and then looks again. */
const waitSeconds = 20;

/** `GET /api/verifications/logs`: what checks print, as they print it, from any position on, nothing missed and nothing twice. */
@WebSocketGateway({ path: '/api/verifications/logs' })
@Requires('verification.read')
export class LogGateway extends SubscriptionGateway<typeof verificationLogSubscribe> {
  protected override readonly schema = verificationLogSubscribe;

  constructor(
    private readonly queries: QueryBus,
    private readonly ownedIds: OwnedIds,
    private readonly authenticator: Authenticator,
  ) {
    super();
  }

  protected override async subscribe(
    socket: SubscribedSocket,
    actor: Actor,
    { verificationId, check, after }: z.output<typeof verificationLogSubscribe>,
  ): Promise<void> {
    await this.assertVisible(actor, verificationId);
    const send = (message: VerificationLogMessage): Promise<void> => socket.send(message);
    await send({ type: 'subscribed', position: after });
    for (let position = after; !socket.gone.aborted;) {
      const wanted = { check, after: position, limit: portion, waitSeconds };
      const { items, ...page } = await this.queries.execute(new ReadLog(verificationId, wanted, socket.gone));
      ({ position } = page);
      // The next portion is read when the connection has taken this one.
      if (items.length > 0 || page.finished) await send({ type: 'log', items, position, finished: page.finished });
      if (page.finished) return socket.end();
    }
  }

  private async assertVisible(actor: Actor, verificationId: string): Promise<void> {
    const [owner] = await this.ownedIds.owners([verificationId], actor.teamId);
    const sees =
      owner?.teamId === actor.teamId && this.authenticator.allows(actor, 'verification.read', owner.projectId);
    if (!sees) throw new NotFound();
  }
}
