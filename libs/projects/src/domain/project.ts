import type { ProjectView } from '@muster/contracts';
import { defineEntity, p } from '@mikro-orm/postgresql';

const projectSchema = defineEntity({
  name: 'Project',
  tableName: 'projects',
  properties: {
    id: p.text().primary(),
    teamId: p.text(),
    name: p.text(),
    slug: p.text(),
    branch: p.text(),
    importedHead: p.text(),
    createdAt: p.datetime(),
    updatedAt: p.datetime(),
  },
});

/** A repository under Muster's care. Where its branch stands is git's to know, not ours. */
export class Project extends projectSchema.class {
  /** False when that is its name already. */
  rename(name: string, now: Date): boolean {
    if (name === this.name) return false;
    this.name = name;
    this.updatedAt = now;
    return true;
  }

  view(head: string | null): ProjectView {
    return {
      id: this.id,
      teamId: this.teamId,
      name: this.name,
      slug: this.slug,
      branch: this.branch,
      head,
      gitPath: `/git/${this.id}.git`,
      createdAt: this.createdAt.toISOString(),
    };
  }

  /** What an update must not overwrite unseen. The head is not part of it: landings move it all the time. */
  edition(): { id: string; name: string; updatedAt: string } {
    return { id: this.id, name: this.name, updatedAt: this.updatedAt.toISOString() };
  }
}
projectSchema.setClass(Project);

/** A slug from a name, as far as it has letters and digits that fit. */
export const slugOf = (name: string): string =>
  name
    .normalize('NFKD')
    .replace(/\p{M}/gu, '')
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
    .slice(0, 50)
    .replace(/^-+|-+$/g, '') || 'project';
