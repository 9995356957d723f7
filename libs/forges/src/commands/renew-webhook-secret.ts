import { Command, CommandHandler, type ICommandHandler } from '@nestjs/cqrs';
import type { ForgeSecret } from '@muster/contracts';
import type { Actor } from '#messages/auth';
import { Config } from '#platform/config';
import { Database } from '#platform/database';
import { forgeColumns, type ForgeRow, webhookUrl } from '../domain/forge-row.ts';
import { NoForge } from '../forges.errors.ts';
import { WebhookSecrets } from '../webhook-secrets.ts';

export class RenewWebhookSecret extends Command<ForgeSecret> {
  constructor(
    readonly projectId: string,
    readonly actor: Actor,
  ) {
    super();
  }
}

@CommandHandler(RenewWebhookSecret)
export class RenewWebhookSecretHandler implements ICommandHandler<RenewWebhookSecret> {
  constructor(
    private readonly database: Database,
    private readonly secrets: WebhookSecrets,
    private readonly config: Config,
  ) {}

  async execute({ projectId, actor }: RenewWebhookSecret): Promise<ForgeSecret> {
    const row = await this.database.transaction(async (tx) => {
      const [found] = await tx.sql<ForgeRow>(
        `update forges set secret_generation = secret_generation + 1 where project_id = $1 returning ${forgeColumns}`,
        [projectId],
      );
      if (found === undefined) throw new NoForge();
      tx.append({
        type: 'project.forge_secret_renewed',
        teamId: found.team_id,
        projectId,
        subject: projectId,
        data: { by: actor.id },
      });
      return found;
    });
    const secret = await this.secrets.of(row);
    if (secret === null) throw new Error('A renewed secret is none.');
    return { webhookUrl: webhookUrl(this.config.publicUrl, row.id), secret };
  }
}
