import type { Invariant } from '#platform/invariants';
import { acceptedOnce } from './accepted-once.ts';
import { archivedOnce } from './archived-once.ts';
import { blobsAreKept } from './blobs-are-kept.ts';
import { costsRollUp } from './costs-roll-up.ts';
import { eventsTellTheTask } from './events-tell-the-task.ts';
import { fencesGrow } from './fences-grow.ts';
import { listsTellTheState } from './lists-tell-the-state.ts';
import { noOrphans } from './no-orphans.ts';
import { oneOpenAttempt } from './one-open-attempt.ts';
import { unfinishedTasksGoOn } from './unfinished-tasks-go-on.ts';

/** What this room promises about its tables, whatever is killed in the middle of what. */
export const runtimeInvariants: readonly Invariant[] = [
  unfinishedTasksGoOn,
  oneOpenAttempt,
  fencesGrow,
  acceptedOnce,
  eventsTellTheTask,
  costsRollUp,
  noOrphans,
  listsTellTheState,
  blobsAreKept,
  archivedOnce,
];
