import { Command, CommandHandler, type ICommandHandler, QueryBus } from '@nestjs/cqrs';
import type { ForgeView, setForge } from '@muster/contracts';
import type { z } from 'zod';
import type { Actor } from '#messages/auth';
import { FindProjectTeam } from '#messages/projects';
import { Ids } from '#kernel';
import { Config } from '#platform/config';
import { Database } from '#platform/database';
import { Rounds } from '#platform/rounds';
import { accountOf } from '../domain/forge-row.ts';
import { caresForRequests } from '../domain/request-admission.ts';
import { AccountUnknown, ChecksNeedApp, NoForge } from '../forges.errors.ts';
import { FORGE_REQUESTS } from './look-at-requests.ts';
import { ShowForge } from '../queries/show-forge.ts';

export class SetForge extends Command<ForgeView> {
  constructor(
    readonly projectId: string,
    readonly wish: Readonly<z.output<typeof setForge>>,
    readonly actor: Actor,
  ) {
    super();
  }
}

@CommandHandler(SetForge)
export class SetForgeHandler implements ICommandHandler<SetForge> {
  constructor(
    private readonly database: Database,
    private readonly queries: QueryBus,
    private readonly config: Config,
    private readonly ids: Ids,
    private readonly rounds: Rounds,
  ) {}

  async execute({ projectId, wish, actor }: SetForge): Promise<ForgeView> {
    const teamId = await this.queries.execute(new FindProjectTeam(projectId));
    if (teamId === null) throw new NoForge();
    const account = accountOf(this.config.forges, { ...wish, team_id: teamId });
    if (account === null) throw new AccountUnknown(wish.account, wish.repository);
    if (wish.checks && account.app === null) throw new ChecksNeedApp(wish.account);
    await this.database.transaction(async (tx) => {
      const [before] = await tx.sql<{ repository: string }>(
        `select repository from forges where project_id = $1 for update`,
        [projectId],
      );
      const [row] = await tx.sql<{ id: string }>(
        `insert into forges (id, project_id, team_id, account, repository, statuses, checks, requested_by, requests, list_requests_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9::jsonb, case when $10 then muster_now() end)
         on conflict (project_id) do update set account = excluded.account, repository = excluded.repository,
           statuses = excluded.statuses, checks = excluded.checks, requested_by = excluded.requested_by,
           requests = excluded.requests, list_requests_at = excluded.list_requests_at
         returning id`,
        [
          this.ids.next('forge'),
          projectId,
          teamId,
          wish.account,
          wish.repository,
          wish.statuses,
          wish.checks,
          actor.id,
          JSON.stringify(wish.requests),
          caresForRequests(wish.requests),
        ],
      );
      // Of another repository; whoever was skipped in this one may be taken now.
      if (before !== undefined && before.repository.toLowerCase() !== wish.repository.toLowerCase())
        await tx.sql(`delete from forge_requests where forge_id = $1`, [row?.id]);
      await tx.sql(
        `update forge_requests set wanted = wanted + 1, failures = 0, next_action_at = muster_now() where forge_id = $1 and state <> 'closed'`,
        [row?.id],
      );
      // What was refused before may be taken now.
      await tx.sql(
        `update forge_statuses set failures = 0,
           next_action_at = case when case kind when 'status' then $2::boolean else $3::boolean end then muster_now() end
         where forge_id = $1 and sent < wanted`,
        [row?.id, wish.statuses, wish.checks],
      );
      tx.append({
        type: 'project.forge_set',
        teamId,
        projectId,
        subject: projectId,
        data: { ...wish, by: actor.id },
      });
    });
    this.rounds.soon(FORGE_REQUESTS);
    return await this.queries.execute(new ShowForge(projectId));
  }
}
