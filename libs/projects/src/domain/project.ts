import type { AssignmentView, ProjectView } from '@muster/contracts';

export interface ProjectRow {
  readonly id: string;
  readonly team_id: string;
  readonly name: string;
  readonly slug: string;
  readonly branch: string;
  readonly imported_head: string;
  readonly created_at: Date;
  readonly updated_at: Date;
}
export interface AssignmentRow {
  readonly id: string;
  readonly project_id: string;
  readonly agent: string;
  readonly version_range: string;
  readonly version: string;
  readonly capabilities: string[];
  readonly created_at: Date;
}

export const toProjectView = (row: ProjectRow, head: string | null): ProjectView => ({
  id: row.id,
  teamId: row.team_id,
  name: row.name,
  slug: row.slug,
  branch: row.branch,
  head,
  gitPath: `/git/${row.id}.git`,
  createdAt: row.created_at.toISOString(),
});

export const toAssignmentView = (row: AssignmentRow): AssignmentView => ({
  id: row.id,
  projectId: row.project_id,
  agent: row.agent,
  versionRange: row.version_range,
  version: row.version,
  capabilities: row.capabilities,
  createdAt: row.created_at.toISOString(),
});

/** What an update must not overwrite unseen. The head is not part of it: landings move it all the time. */
export const versionOf = (row: ProjectRow) => ({ id: row.id, name: row.name, updatedAt: row.updated_at.toISOString() });

/** A slug from a name, as far as it has letters and digits that fit. */
export const slugOf = (name: string): string =>
  name
    .normalize('NFKD')
    .replace(/\p{M}/gu, '')
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
    .slice(0, 50)
    .replace(/^-+|-+$/g, '') || 'project';
