export { Changes, type HandedCommit, type Replay } from './changes.ts';
export { Git, GitFailed, killGroup, type GitResult, type GitRun } from './git.ts';
export { FileTooLarge, NotAnObject, PatchDoesNotApply, PathRefused } from './git.errors.ts';
export { GitModule } from './git.module.ts';
export { Packing, type Stored } from './packing.ts';
export { Repositories } from './repositories.ts';
export type {
  ChangedFile,
  ContentConflicts,
  FileChange,
  LoggedCommit,
  MergeResult,
  NewCommit,
  Person,
  RefMove,
} from './repositories.ts';
export { NOTHING } from './repositories.ts';
export { roomIn } from './room-in.ts';
