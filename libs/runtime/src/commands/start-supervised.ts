import type { startSupervised, SupervisedView } from '@muster/contracts';
import { Command, CommandHandler, type ICommandHandler, QueryBus } from '@nestjs/cqrs';
import type { z } from 'zod';
import { Ids } from '#kernel';
import { type Actor, OperatesServer } from '#messages/auth';
import { FindPublishedVersion } from '#messages/registry';
import { Config } from '#platform/config';
import { Database } from '#platform/database';
import { NotAllowed } from '#platform/http';
import { Signals } from '#platform/redis';
import { AgentUnknown, NothingToRun, SupervisionRefused, TooManySupervised } from '../runtime.errors.ts';
import { insertOffline, insertSupervised } from '../sql/supervised.ts';
import { refusalOf } from '../supervised/program-policy.ts';
import { maxSupervised } from '../supervised/restart-rules.ts';
import { ServerIdentity } from '../supervised/server-identity.ts';
import { supervisedViewOf } from '../supervised/supervised-row.ts';
import { supervisedTopic, Supervisor } from '../supervised/supervisor.ts';

/** A new instance whose process this server starts, watches and starts again, until it is stopped. */
export class StartSupervised extends Command<SupervisedView> {
  constructor(
    readonly by: Actor,
    readonly q: z.output<typeof startSupervised>,
  ) {
    super();
  }
}

@CommandHandler(StartSupervised)
export class StartSupervisedHandler implements ICommandHandler<StartSupervised> {
  constructor(
    private readonly database: Database,
    private readonly queries: QueryBus,
    private readonly config: Config,
    private readonly ids: Ids,
    private readonly signals: Signals,
    private readonly identity: ServerIdentity,
    private readonly supervisor: Supervisor,
  ) {}

  async execute({ by, q }: StartSupervised): Promise<SupervisedView> {
    // Whatever project it is for, it is the server's machine that it runs on.
    if (!by.permissions.has('instance.supervise')) throw new NotAllowed('instance.supervise');
    if (!this.supervisor.active)
      throw new SupervisionRefused(`it has the role ${this.config.role} and does no background work`);
    if (!(await this.queries.execute(new OperatesServer(by.teamId))))
      throw new SupervisionRefused('only the team that runs the server starts processes on its machine');
    const version = await this.queries.execute(new FindPublishedVersion(by.teamId, q.agent, q.version));
    if (version === null) throw new AgentUnknown(q.agent, q.version);
    const { runtime } = version.definition;
    if (runtime === undefined) throw new NothingToRun(q.agent, version.version);
    const refusal = await refusalOf(runtime.command[0] ?? '', this.config.supervised);
    if (refusal !== null) throw new SupervisionRefused(refusal);

    const id = this.ids.next('instance');
    const serverId = await this.identity.read();
    const row = await this.database.transaction(async (tx) => {
      await insertOffline(tx, {
        id,
        teamId: by.teamId,
        onlyProjectId: q.projectId ?? null,
        agent: q.agent,
        agentVersion: version.version,
        name: q.name ?? null,
      });
      const made = await insertSupervised(
        tx,
        {
          id,
          team_id: by.teamId,
          project_id: q.projectId ?? null,
          server_id: serverId,
          agent: q.agent,
          agent_version: version.version,
          name: q.name ?? null,
          command: runtime.command,
          env: runtime.env,
          restarts: runtime.restarts,
          started_by: by.id,
        },
        maxSupervised,
      );
      if (made === null) throw new TooManySupervised(maxSupervised);
      tx.append({
        type: 'instance.supervised',
        teamId: by.teamId,
        projectId: null,
        subject: id,
        data: { instanceId: id, agent: q.agent, version: version.version, by: by.id },
      });
      return made;
    });
    this.signals.publish(supervisedTopic);
    return supervisedViewOf(row);
  }
}
