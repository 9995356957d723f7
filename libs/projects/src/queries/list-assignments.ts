import type { AssignmentView } from '@muster/contracts';
import { type IQueryHandler, Query, QueryHandler } from '@nestjs/cqrs';
import { Database } from '#platform/database';
import { type AssignmentRow, toAssignmentView } from '../domain/assignment.ts';

/** Which agents may be given work on a project, by name; each agent at most once. */
export class ListAssignments extends Query<AssignmentView[]> {
  constructor(readonly projectId: string) {
    super();
  }
}

@QueryHandler(ListAssignments)
export class ListAssignmentsHandler implements IQueryHandler<ListAssignments> {
  constructor(private readonly database: Database) {}

  async execute({ projectId }: ListAssignments): Promise<AssignmentView[]> {
    const rows = await this.database.sql<AssignmentRow & { capabilities: string[] }>(
      `select a.id, a.project_id as "projectId", a.agent, a.version_range as "versionRange", a.version, a.created_at as "createdAt",
              array(select c.capability from project_assignment_capabilities c where c.assignment_id = a.id order by 1) as capabilities
       from project_assignments a where a.project_id = $1 order by a.agent`,
      [projectId],
    );
    return rows.map((row) => toAssignmentView(row, row.capabilities));
  }
}
