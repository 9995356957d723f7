import { createHash } from 'node:crypto';
import { Command, CommandHandler, type ICommandHandler } from '@nestjs/cqrs';
import type { WebhookReceipt } from '@muster/contracts';
import { Clock, Ids } from '#kernel';
import { Config } from '#platform/config';
import { Database } from '#platform/database';
import { Rounds } from '#platform/rounds';
import { ForgeCrashPoints } from '../crash-points.ts';
import type { SentWebhook } from '../domain/forge.ts';
import { accountOf, forgeColumns, forgeOf, type ForgeRow } from '../domain/forge-row.ts';
import { caresForRequests } from '../domain/request-admission.ts';
import { noticeRequest } from '../domain/request-row.ts';
import { WebhookRefused, WebhookUnreadable } from '../forges.errors.ts';
import { FORGE_REQUESTS } from './look-at-requests.ts';
import { WebhookSecrets } from '../webhook-secrets.ts';

/** What a forge says has happened. It is a hint, never a fact: what is taken is what the remote itself sends when it is asked. */
export class ReceiveWebhook extends Command<WebhookReceipt> {
  constructor(
    readonly forgeId: string,
    readonly sent: SentWebhook,
  ) {
    super();
  }
}

@CommandHandler(ReceiveWebhook)
export class ReceiveWebhookHandler implements ICommandHandler<ReceiveWebhook> {
  constructor(
    private readonly database: Database,
    private readonly secrets: WebhookSecrets,
    private readonly config: Config,
    private readonly clock: Clock,
    private readonly ids: Ids,
    private readonly rounds: Rounds,
    private readonly crash: ForgeCrashPoints,
  ) {}

  async execute({ forgeId, sent }: ReceiveWebhook): Promise<WebhookReceipt> {
    const [row] = await this.database.sql<ForgeRow>(`select ${forgeColumns} from forges where id = $1`, [forgeId]);
    const account = row === undefined ? null : accountOf(this.config.forges, row);
    const secret = row === undefined ? null : await this.secrets.of(row);
    if (row === undefined || account === null || secret === null) throw new WebhookRefused();
    const forge = forgeOf(account);
    if (!forge.isAuthentic(sent, secret, this.clock.now())) throw new WebhookRefused();

    const happened = forge.understand(sent.headers, readJson(sent.body));
    const here = happened.kind !== 'other' && happened.repository.toLowerCase() === row.repository.toLowerCase();
    const push = here && happened.kind === 'push' ? happened : null;
    const request = here && happened.kind === 'request' && caresForRequests(row.requests) ? happened : null;
    const digest = createHash('sha256').update(sent.body).digest('hex');
    const { name, covered } = forge.deliveryOf(sent);
    const receipt = await this.database.transaction<WebhookReceipt>(async (tx) => {
      const [kept] = await tx.sql(
        `insert into forge_webhooks (id, forge_id, delivery, digest, event, outcome, branch, commit, request)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9) on conflict do nothing returning id`,
        [
          this.ids.next('webhook'),
          row.id,
          (name ?? digest).slice(0, 200),
          covered ? null : digest,
          happened.event.slice(0, 100),
          push === null && request === null ? 'ignored' : 'acted',
          push?.branch ?? null,
          push?.commit ?? null,
          request?.number ?? null,
        ],
      );
      if (kept === undefined) return { outcome: 'repeated' };
      if (request !== null) await noticeRequest(tx, this.ids, row, request.number);
      if (push === null) return { outcome: request === null ? 'ignored' : 'acted' };
      tx.append({
        type: 'forge.push_seen',
        teamId: row.team_id,
        projectId: row.project_id,
        subject: row.project_id,
        data: { repository: row.repository, branch: push.branch, commit: push.commit },
      });
      return { outcome: 'acted' };
    });
    if (request !== null) {
      this.crash.reach('forge.webhook_noted');
      this.rounds.soon(FORGE_REQUESTS);
    }
    return receipt;
  }
}

function readJson(body: Buffer): unknown {
  try {
    return JSON.parse(body.toString('utf8'));
  } catch {
    throw new WebhookUnreadable('The webhook’s body is not JSON.');
  }
}
