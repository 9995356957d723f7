import type { AssignmentView } from '@muster/contracts';
import { LockMode } from '@mikro-orm/postgresql';
import { Command, CommandHandler, type ICommandHandler, QueryBus } from '@nestjs/cqrs';
import { validRange } from 'semver';
import { Clock, Ids } from '#kernel';
import { FindPublishedVersion, type PublishedVersion } from '#messages/registry';
import { Database, type Transaction, violatedConstraint } from '#platform/database';
import { Assignment, toAssignmentView } from '../domain/assignment.ts';
import { Project } from '../domain/project.ts';
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
    const project = await this.database.em().findOne(Project, projectId);
    if (project === null) throw new ProjectUnknown();
    const published = await this.queries.execute(new FindPublishedVersion(project.teamId, wish.agent, wish.version));
    if (published === null) throw new AgentNotPublished(wish.agent, wish.version);
    const capabilities = [...new Set(wish.capabilities)].sort();
    try {
      return await this.database.transaction(async (tx) => {
        const assigned = await this.assign(tx, projectId, wish.version, published);
        // PostgreSQL decides whether that version has these skills.
        await tx.sql(
          `insert into project_assignment_capabilities (assignment_id, agent_version_id, capability)
           select $1, $2, capability from unnest($3::text[]) as capability`,
          [assigned.id, published.agentVersionId, capabilities],
        );
        tx.append({
          type: 'assignment.changed',
          teamId: project.teamId,
          projectId,
          subject: assigned.id,
          data: { projectId, agent: published.name, version: published.version, capabilities, assigned: true, by },
        });
        return toAssignmentView(assigned, capabilities);
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

  /** In the table when it returns, so that capabilities can refer to it; those of an earlier assignment are gone. */
  private async assign(
    tx: Transaction,
    projectId: string,
    range: string,
    published: PublishedVersion,
  ): Promise<Assignment> {
    // Assignments of a project come one after the other: an agent has one, whoever is first.
    const project = await tx.em.findOne(Project, projectId, { lockMode: LockMode.PESSIMISTIC_WRITE });
    if (project === null) throw new ProjectUnknown();
    const before = await tx.em.findOne(Assignment, { projectId, agent: published.name });
    if (before !== null) {
      await tx.sql('delete from project_assignment_capabilities where assignment_id = $1', [before.id]);
      before.follow(range, published);
    }
    const assigned = before ?? Assignment.of(project, published, range, this.ids.next('assignment'), this.clock.now());
    await tx.em.persist(assigned).flush();
    return assigned;
  }
}
