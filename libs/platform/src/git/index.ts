export { Changes, type HandedCommit, type Replay } from './changes.ts';
export type { FileChange } from './edits.ts';
export { Git, GitFailed, killGroup, type GitResult, type GitRun } from './git.ts';
export { FileTooLarge, NotAnObject, PatchDoesNotApply, PathRefused } from './git.errors.ts';
export { GitModule } from './git.module.ts';
export { NOTHING } from './objects.ts';
export { Packing, type Stored } from './packing.ts';
export { Repositories } from './repositories.ts';
export type {
  ChangedFile,
  ContentConflicts,
  LoggedCommit,
  MergeResult,
  NewCommit,
  Person,
  RefMove,
} from './repositories.ts';
export { roomIn } from './room-in.ts';
