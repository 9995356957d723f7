import { Global, Module } from '@nestjs/common';
import { CqrsModule } from '@nestjs/cqrs';
import { Authenticator } from '#messages/auth';
import { OwnedIds } from '#platform/http';
import { AccessTokens } from './access/access-tokens.ts';
import { Actors } from './access/actors.ts';
import { FirstAdmin } from './access/first-admin.ts';
import { KeyUsage } from './access/key-usage.ts';
import { LoginThrottle } from './access/login-throttle.ts';
import { Revocations } from './access/revocations.ts';
import { RoomAuthenticator } from './access/room-authenticator.ts';
import { Sessions } from './access/sessions.ts';
import { SigningKeys } from './access/signing-keys.ts';
import { AddUserHandler } from './commands/add-user.ts';
import { ChangePasswordHandler } from './commands/change-password.ts';
import { CreateApiKeyHandler } from './commands/create-api-key.ts';
import { CreateTeamHandler } from './commands/create-team.ts';
import { IssueAgentKeyHandler } from './commands/issue-agent-key.ts';
import { LogInHandler } from './commands/log-in.ts';
import { LogOutHandler } from './commands/log-out.ts';
import { RefreshSessionHandler } from './commands/refresh-session.ts';
import { RemoveUserHandler } from './commands/remove-user.ts';
import { RevokeAgentKeyHandler } from './commands/revoke-agent-key.ts';
import { RevokeApiKeyHandler } from './commands/revoke-api-key.ts';
import { SetRoleHandler } from './commands/set-role.ts';
import { Team } from './domain/team.ts';
import { User } from './domain/user.ts';
import { AuthController } from './http/auth.controller.ts';
import { KeysController } from './http/keys.controller.ts';
import { UsersController } from './http/users.controller.ts';
import { FindPeopleBehindHandler } from './queries/find-people-behind.ts';
import { ListApiKeysHandler } from './queries/list-api-keys.ts';
import { ListUsersHandler } from './queries/list-users.ts';
import { OperatesServerHandler } from './queries/operates-server.ts';

export const entities = [Team, User];
export const controllers = [AuthController, KeysController, UsersController];
export const commandHandlers = [
  LogInHandler,
  RefreshSessionHandler,
  LogOutHandler,
  ChangePasswordHandler,
  CreateApiKeyHandler,
  RevokeApiKeyHandler,
  AddUserHandler,
  SetRoleHandler,
  RemoveUserHandler,
  CreateTeamHandler,
  IssueAgentKeyHandler,
  RevokeAgentKeyHandler,
];
export const queryHandlers = [ListApiKeysHandler, ListUsersHandler, OperatesServerHandler, FindPeopleBehindHandler];

/** Global, because every room's routes are behind its `Authenticator`. */
@Global()
@Module({
  imports: [CqrsModule],
  controllers,
  providers: [
    ...commandHandlers,
    ...queryHandlers,
    SigningKeys,
    AccessTokens,
    Actors,
    Sessions,
    LoginThrottle,
    Revocations,
    KeyUsage,
    FirstAdmin,
    RoomAuthenticator,
    { provide: Authenticator, useExisting: RoomAuthenticator },
  ],
  exports: [Authenticator, FirstAdmin],
})
export class AuthModule {
  constructor() {
    OwnedIds.register('apiKey', 'api_keys');
    OwnedIds.register('user', 'users', { project: null });
    OwnedIds.register('team', 'teams', { team: 'id', project: null });
  }
}
