import { defineEntity, p } from '@mikro-orm/postgresql';

const teamSchema = defineEntity({
  name: 'Team',
  tableName: 'teams',
  properties: { id: p.text().primary(), name: p.text(), slug: p.text(), createdAt: p.datetime() },
});

/** A tenant: everything belongs to one. */
export class Team extends teamSchema.class {
  /** The team that was there first runs the server: its owners open others. */
  operates(): boolean {
    return this.slug === 'default';
  }
}
teamSchema.setClass(Team);
