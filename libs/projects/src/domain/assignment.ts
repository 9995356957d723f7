import type { AssignmentView } from '@muster/contracts';
import { defineEntity, p } from '@mikro-orm/postgresql';
import type { Project } from './project.ts';

/** What the registry found for a wish: one published version of an agent. */
interface Published {
  readonly name: string;
  readonly version: string;
  readonly agentVersionId: string;
}

const assignmentSchema = defineEntity({
  name: 'Assignment',
  tableName: 'project_assignments',
  properties: {
    id: p.text().primary(),
    teamId: p.text(),
    projectId: p.text(),
    agent: p.text(),
    versionRange: p.text(),
    agentVersionId: p.text(),
    version: p.text(),
    createdAt: p.datetime(),
  },
});

/** An agent that may be given work on a project; each agent once. PostgreSQL knows which of its skills that can be. */
export class Assignment extends assignmentSchema.class {
  static of(project: Project, published: Published, range: string, id: string, now: Date): Assignment {
    const assignment = new Assignment();
    assignment.id = id;
    assignment.teamId = project.teamId;
    assignment.projectId = project.id;
    assignment.agent = published.name;
    assignment.createdAt = now;
    assignment.follow(range, published);
    return assignment;
  }

  /** From now on with the versions of this range. */
  follow(range: string, published: Published): void {
    this.versionRange = range;
    this.agentVersionId = published.agentVersionId;
    this.version = published.version;
  }
}
assignmentSchema.setClass(Assignment);

/** The columns that are shown, from an entity or from a list's SQL. */
export type AssignmentRow = Pick<Assignment, 'id' | 'projectId' | 'agent' | 'versionRange' | 'version' | 'createdAt'>;

export const toAssignmentView = (row: AssignmentRow, capabilities: readonly string[]): AssignmentView => ({
  id: row.id,
  projectId: row.projectId,
  agent: row.agent,
  versionRange: row.versionRange,
  version: row.version,
  capabilities: [...capabilities],
  createdAt: row.createdAt.toISOString(),
});
