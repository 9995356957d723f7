import type { PolicyView, ProjectView, RemoteView } from '@muster/contracts';
import { Command, Query } from '@nestjs/cqrs';

export interface ProjectRecord extends ProjectView {
  /** The commit that the import ended with; history before it is not Muster's to vouch for. Null while empty. */
  readonly importedHead: string | null;
}
/** Null when there is none. Not checked against an actor: callers act for the system or after the guard. */
export class FindProject extends Query<ProjectRecord | null> {
  constructor(readonly projectId: string) {
    super();
  }
}
/** Whose a project is; null when there is none. For who asks often: `FindProject` also asks git where the branch stands. */
export class FindProjectTeam extends Query<string | null> {
  constructor(readonly projectId: string) {
    super();
  }
}
/** The policy in force: `muster.yaml` at `commit` (default: the branch's head), bounded by server policy. Invalid rules: the defaults, and `problem` says why. */
export class ReadPolicy extends Query<PolicyView> {
  constructor(
    readonly projectId: string,
    readonly commit?: string,
  ) {
    super();
  }
}
/** The agent names that may be given tasks of this capability on this project, with their version ranges. */
export class FindAssignedAgents extends Query<ReadonlyArray<{ agent: string; versionRange: string }>> {
  constructor(
    readonly projectId: string,
    readonly capability: string,
  ) {
    super();
  }
}
/** The projects of a team on which this agent is assigned with this capability, oldest first. Answered by the projects room; the events room asks it for triggers. */
export class FindProjectsOfAgent extends Query<ReadonlyArray<{ projectId: string; versionRange: string }>> {
  constructor(
    readonly teamId: string,
    readonly agent: string,
    readonly capability: string,
  ) {
    super();
  }
}
/** The repositories elsewhere that a project keeps in step with. */
export class ListRemotes extends Query<RemoteView[]> {
  constructor(readonly projectId: string) {
    super();
  }
}
/** What became of a try to reach the repository elsewhere. `failing`: it may be tried again; the problem is in words for people. */
export type ReachedRemote<T> =
  { readonly state: 'done'; readonly value: T } | { readonly state: 'failing'; readonly problem: string };
/**
 * Brings a ref of the repository elsewhere that the project keeps in step with into `ours`, by the same rules and limits as its branch.
 * The value is the commit that has arrived.
 */
export class FetchFromRemote extends Command<ReachedRemote<string>> {
  constructor(
    readonly projectId: string,
    readonly theirs: string,
    readonly ours: string,
  ) {
    super();
  }
}
/**
 * Puts a commit of ours on a branch of ours in the repository elsewhere, or takes the branch away there (null). Only over what was there by us
 * (`ours`): what somebody else has put on it stays, and is told as failing.
 */
export class PushToRemote extends Command<ReachedRemote<null>> {
  constructor(
    readonly projectId: string,
    readonly branch: string,
    readonly commit: string | null,
    readonly ours: readonly string[],
  ) {
    super();
  }
}
