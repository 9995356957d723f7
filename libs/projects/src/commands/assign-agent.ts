import type { AssignmentView } from '@muster/contracts';
import { Command, CommandHandler, type ICommandHandler, QueryBus } from '@nestjs/cqrs';
import { validRange } from 'semver';
import { Clock, Ids, type Tx } from '#kernel';
import { FindPublishedVersion } from '#messages/registry';
import { Database, violatedConstraint } from '#platform/database';
import { type AssignmentRow, type ProjectRow, toAssignmentView } from '../domain/project.ts';
import { AgentNotPublished, CapabilityMissing, ProjectUnknown, RangeInvalid } from '../projects.errors.ts';

/** Lets an agent be given tasks of some capabilities on a project. Again for the same agent: replaces what was. */
export class AssignAgent extends Command<AssignmentView> {
  constructor(
    readonly projectId: string,
    readonly wish: { readonly agent: string; readonly version: string; readonly capabilities: readonly string[] },
    readonly by: string,
  ) {
    super();
  }
}

@CommandHandler(AssignAgent)
export class AssignAgentHandler implements ICommandHandler<AssignAgent> {
  constructor(
    private readonly database: Database,
    private readonly queries: QueryBus,
    private readonly ids: Ids,
    private readonly clock: Clock,
  ) {}

  async execute({ projectId, wish, by }: AssignAgent): Promise<AssignmentView> {
    if (validRange(wish.version) === null) throw new RangeInvalid(wish.version);
    const [project] = await this.database.sql<ProjectRow>('select * from projects where id = $1', [projectId]);
    if (project === undefined) throw new ProjectUnknown();
    const published = await this.queries.execute(new FindPublishedVersion(project.team_id, wish.agent, wish.version));
    if (published === null) throw new AgentNotPublished(wish.agent, wish.version);
    const capabilities = [...new Set(wish.capabilities)].sort();
    try {
      return await this.database.transaction(async (tx) => {
        const [row] = await tx.sql<Omit<AssignmentRow, 'capabilities'>>(
          `insert into project_assignments (id, team_id, project_id, agent, version_range, agent_version_id, version, created_at)
           select $1, p.team_id, p.id, $3, $4, $5, $6, $7 from projects p where p.id = $2
           on conflict on constraint project_assignments_agent_once do nothing
           returning *`,
          [
            this.ids.next('assignment'),
            projectId,
            published.name,
            wish.version,
            published.agentVersionId,
            published.version,
            this.clock.now(),
          ],
        );
        const assigned = row ?? (await this.reassign(tx, projectId, wish.version, published));
        // PostgreSQL decides whether that version has these skills.
        await tx.sql(
          `insert into project_assignment_capabilities (assignment_id, agent_version_id, capability)
           select $1, $2, capability from unnest($3::text[]) as capability`,
          [assigned.id, published.agentVersionId, capabilities],
        );
        tx.append({
          type: 'assignment.changed',
          teamId: project.team_id,
          projectId,
          subject: assigned.id,
          data: { projectId, agent: published.name, version: published.version, capabilities, assigned: true, by },
        });
        return toAssignmentView({ ...assigned, capabilities });
      });
    } catch (error) {
      switch (violatedConstraint(error)) {
        case 'project_assignment_capabilities_are_skills': {
          const offered = published.definition.skills.map((skill) => skill.name);
          throw new CapabilityMissing(
            published.name,
            published.version,
            capabilities.filter((capability) => !offered.includes(capability)),
            offered,
          );
        }
        // Deprecated since it was found.
        case 'project_assignments_version_is_published':
          throw new AgentNotPublished(wish.agent, wish.version);
        default:
          throw error;
      }
    }
  }

  private async reassign(
    tx: Tx,
    projectId: string,
    range: string,
    published: { readonly name: string; readonly agentVersionId: string; readonly version: string },
  ): Promise<Omit<AssignmentRow, 'capabilities'>> {
    await tx.sql(
      `delete from project_assignment_capabilities using project_assignments a
       where a.id = assignment_id and a.project_id = $1 and a.agent = $2`,
      [projectId, published.name],
    );
    const [row] = await tx.sql<Omit<AssignmentRow, 'capabilities'>>(
      `update project_assignments set version_range = $3, agent_version_id = $4, version = $5
       where project_id = $1 and agent = $2 returning *`,
      [projectId, published.name, range, published.agentVersionId, published.version],
    );
    if (row === undefined) throw new ProjectUnknown();
    return row;
  }
}
