/** Write an agent for Muster, or talk to it as a program: `defineAgent` and `runAgent`, or `MusterClient`. */
export {
  defineAgent,
  runAgent,
  RunningAgent,
  type Agent,
  type AgentEvent,
  type AgentOptions,
  type ConnectOptions,
  type DefinitionInput,
  type TaskHandler,
} from './agent.ts';
export type { AgentTask, CostReport, SubmitOptions, TaskContext } from './context.ts';
export { Workspace, GitError, type WorkspaceOptions } from './workspace.ts';
export { MusterClient, type Creation, type LogQuery, type Page, type Paging, type TrendQuery } from './client.ts';
export type { Credentials, HttpOptions } from './http.ts';
export type { LogFollowing } from './followed-log.ts';
export type { Subscription } from './stream.ts';
export { BlobClient } from './blobs.ts';
export type { JsonValue } from './json.ts';
export {
  AgentShutdownError,
  MusterApiError,
  MusterUnreachableError,
  PermanentError,
  StaleLeaseError,
  TaskCancelledError,
} from './errors.ts';
