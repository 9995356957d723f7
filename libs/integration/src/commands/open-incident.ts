import { Command, CommandHandler, type ICommandHandler } from '@nestjs/cqrs';
import type { OpenIncident as Wish } from '@muster/contracts';
import { Ids } from '#kernel';
import { Database } from '#platform/database';
import { Repositories } from '#platform/git';
import type { IncidentRow } from '../domain/incident.ts';
import { landingColumns, type LandingRow } from '../domain/landing.ts';
import { recordIncident } from '../incidents.ts';
import { EmptyBranch, NotFound, NothingInRange, NotLanded } from '../integration.errors.ts';
import { RollbackOutlook } from '../outlook.ts';
import { AdvanceIncident } from './advance-incident.ts';

/** Several landings of a project come out, the newest first, each by a revert of its own through gate and queue. */
export class OpenIncident extends Command<string> {
  constructor(
    readonly projectId: string,
    readonly wish: Wish,
    readonly requestedBy: string,
  ) {
    super();
  }
}

@CommandHandler(OpenIncident)
export class OpenIncidentHandler implements ICommandHandler<OpenIncident> {
  constructor(
    private readonly database: Database,
    private readonly repositories: Repositories,
    private readonly outlook: RollbackOutlook,
    private readonly ids: Ids,
    private readonly incidents: AdvanceIncident,
  ) {}

  async execute({ projectId, wish, requestedBy }: OpenIncident): Promise<string> {
    const landings =
      wish.range === undefined ? await this.named(projectId, wish) : await this.within(projectId, wish.range);
    const [first] = landings;
    if (first === undefined) throw new NothingInRange();
    const head = await this.repositories.resolve(projectId, `refs/heads/${first.branch}`);
    if (head === null) throw new EmptyBranch(first.branch);
    const forecast = this.outlook.kept(await this.outlook.of(landings, head));
    const incident: IncidentRow = await this.database.transaction((tx) =>
      recordIncident(tx, {
        id: this.ids.next('incident'),
        landings,
        cause: 'person',
        reason: wish.reason,
        requestedBy,
        forecast,
      }),
    );
    await this.incidents.run(incident.id);
    return incident.id;
  }

  private async named(projectId: string, { landings = [] }: Wish): Promise<LandingRow[]> {
    const rows = await this.database.sql<LandingRow>(
      `select ${landingColumns} from landings where project_id = $1 and id = any($2::text[])
       order by landings.landed_at desc nulls last, id desc`,
      [projectId, landings],
    );
    for (const id of landings) {
      const found = rows.find((row) => row.id === id);
      if (found === undefined) throw new NotFound('landing', id);
      if (found.state !== 'landed') throw new NotLanded(id, found.state);
    }
    return rows;
  }

  /** What is out already, and what took it out, stays as it is. */
  private async within(projectId: string, { from, to }: NonNullable<Wish['range']>): Promise<LandingRow[]> {
    await this.named(projectId, { landings: [from, to], reason: '' });
    return await this.database.sql<LandingRow>(
      `select ${landingColumns} from landings
       where project_id = $1 and state = 'landed' and kind = 'change'
         and (landings.landed_at, id) >= (select o.landed_at, o.id from landings o where o.id = $2)
         and (landings.landed_at, id) <= (select o.landed_at, o.id from landings o where o.id = $3)
       order by landings.landed_at desc, id desc limit 50`,
      [projectId, from, to],
    );
  }
}
