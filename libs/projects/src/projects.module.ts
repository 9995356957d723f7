import { Module, type OnModuleInit } from '@nestjs/common';
import { HttpAdapterHost } from '@nestjs/core';
import { OwnedIds } from '#platform/http';
import { AssignAgentHandler } from './commands/assign-agent.ts';
import { CreateProjectHandler } from './commands/create-project.ts';
import { DeleteProjectHandler } from './commands/delete-project.ts';
import { FetchFromRemoteHandler } from './commands/fetch-from-remote.ts';
import { ImportProjectHandler } from './commands/import-project.ts';
import { PushToRemoteHandler } from './commands/push-to-remote.ts';
import { RemoveRemoteHandler } from './commands/remove-remote.ts';
import { SetRemoteHandler } from './commands/set-remote.ts';
import { SyncRemoteHandler } from './commands/sync-remote.ts';
import { UnassignAgentHandler } from './commands/unassign-agent.ts';
import { UpdateProjectHandler } from './commands/update-project.ts';
import { Assignment } from './domain/assignment.ts';
import { FoundProject } from './domain/found-project.ts';
import { Project } from './domain/project.ts';
import { HttpBackend } from './git/http-backend.ts';
import { GitPlaces } from './git/places.ts';
import { PushDoor } from './git/push-door.ts';
import { UploadPack } from './git/upload-pack.ts';
import { AssignmentsController } from './http/assignments.controller.ts';
import { GitController } from './http/git.controller.ts';
import { ProjectsController } from './http/projects.controller.ts';
import { RemotesController } from './http/remotes.controller.ts';
import { streamArchives } from './http/streamed-bodies.ts';
import { KeepInStep } from './keep-in-step.ts';
import { RepositoryUpkeep } from './repository-upkeep.ts';
import { FindAssignedAgentsHandler } from './queries/find-assigned-agents.ts';
import { FindProjectTeamHandler } from './queries/find-project-team.ts';
import { FindProjectHandler } from './queries/find-project.ts';
import { FindProjectsOfAgentHandler } from './queries/find-projects-of-agent.ts';
import { ListAssignmentsHandler } from './queries/list-assignments.ts';
import { ListProjectsHandler } from './queries/list-projects.ts';
import { ListRemotesHandler } from './queries/list-remotes.ts';
import { LookWhenAForgeWasPushedTo } from './reactions/look-when-a-forge-was-pushed-to.ts';
import { PushWhatLanded } from './reactions/push-what-landed.ts';
import { ReadPolicyHandler } from './queries/read-policy.ts';
import { ShowProjectHandler } from './queries/show-project.ts';

export const entities = [Project, Assignment];
const controllers = [ProjectsController, AssignmentsController, RemotesController, GitController];
const commandHandlers = [
  CreateProjectHandler,
  ImportProjectHandler,
  UpdateProjectHandler,
  DeleteProjectHandler,
  AssignAgentHandler,
  UnassignAgentHandler,
  SetRemoteHandler,
  RemoveRemoteHandler,
  SyncRemoteHandler,
  FetchFromRemoteHandler,
  PushToRemoteHandler,
];
const queryHandlers = [
  FindProjectHandler,
  FindProjectTeamHandler,
  ListProjectsHandler,
  ListRemotesHandler,
  ShowProjectHandler,
  ReadPolicyHandler,
  ListAssignmentsHandler,
  FindAssignedAgentsHandler,
  FindProjectsOfAgentHandler,
];

@Module({
  controllers,
  providers: [
    FoundProject,
    GitPlaces,
    HttpBackend,
    UploadPack,
    PushDoor,
    KeepInStep,
    RepositoryUpkeep,
    PushWhatLanded,
    LookWhenAForgeWasPushedTo,
    ...commandHandlers,
    ...queryHandlers,
  ],
})
export class ProjectsModule implements OnModuleInit {
  constructor(private readonly host: HttpAdapterHost) {
    OwnedIds.register('project', 'projects', { project: 'id' });
    OwnedIds.register('assignment', 'project_assignments');
  }

  onModuleInit(): void {
    streamArchives(this.host);
  }
}
