import { type IQueryHandler, QueryHandler } from '@nestjs/cqrs';
import { OperatesServer } from '#messages/auth';
import { Database } from '#platform/database';
import { Team } from '../domain/team.ts';

@QueryHandler(OperatesServer)
export class OperatesServerHandler implements IQueryHandler<OperatesServer> {
  constructor(private readonly database: Database) {}

  async execute({ teamId }: OperatesServer): Promise<boolean> {
    return (await this.database.em().findOne(Team, teamId))?.operates() === true;
  }
}
