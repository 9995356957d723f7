import type { ProjectDetail } from '@muster/contracts';
import { type IQueryHandler, Query, QueryBus, QueryHandler } from '@nestjs/cqrs';
import { ReadPolicy } from '#messages/projects';
import { FindProjectOperations } from '#messages/runtime';
import { Database } from '#platform/database';
import { Repositories } from '#platform/git';
import { etagOf } from '#platform/http';
import { Project } from '../domain/project.ts';
import { ProjectUnknown } from '../projects.errors.ts';
import { ListAssignments } from './list-assignments.ts';

/** As many as a page shows; the whole list is GET /api/projects/{projectId}/operations. */
const SHOWN_OPERATIONS = 50;

/** A project's page: its rules, who may work on it, what is asked of it and what was done. */
export class ShowProject extends Query<{ readonly etag: string; readonly project: ProjectDetail }> {
  constructor(readonly projectId: string) {
    super();
  }
}

@QueryHandler(ShowProject)
export class ShowProjectHandler implements IQueryHandler<ShowProject> {
  constructor(
    private readonly database: Database,
    private readonly repositories: Repositories,
    private readonly queries: QueryBus,
  ) {}

  async execute({ projectId }: ShowProject): Promise<{ etag: string; project: ProjectDetail }> {
    const project = await this.database.em().findOne(Project, projectId);
    if (project === null) throw new ProjectUnknown();
    const [head, rules, assignments, work] = await Promise.all([
      this.repositories.resolve(project.id, `refs/heads/${project.branch}`),
      this.queries.execute(new ReadPolicy(projectId)),
      this.queries.execute(new ListAssignments(projectId)),
      this.queries.execute(new FindProjectOperations(projectId, SHOWN_OPERATIONS)),
    ]);
    const open = new Map(work.openTasks.map(({ capability, count }) => [capability, count]));
    const wanted = new Set([...assignments.flatMap((assignment) => assignment.capabilities), ...open.keys()]);
    return {
      etag: etagOf(project.edition()),
      project: {
        ...project.view(head),
        policy: rules.policy,
        policySource: rules.source,
        policyProblem: rules.problem,
        agent_metadata: {
          assigned_agents: assignments,
          capability_requirements: [...wanted].sort().map((capability) => ({
            capability,
            agents: assignments.filter((a) => a.capabilities.includes(capability)).map((a) => a.agent),
            open_tasks: open.get(capability) ?? 0,
          })),
          operation_history: [...work.operations],
        },
      },
    };
  }
}
