import { MusterError } from '#kernel';

/** Someone else's id answers like none. */
export class NotFound extends MusterError {
  constructor(what: 'task' | 'project' | 'submission' | 'landing' | 'set' | 'incident', id: string) {
    super(`integration.${what}_not_found`, 404, `There is no ${what} ${id}. Check the id and the team of your key.`, {
      data: { id },
    });
  }
}

/** Fences are numbers that anybody may read; they count only together with the key that holds the attempt. */
export class NotYourAttempt extends MusterError {
  constructor(taskId: string, fence: number) {
    super(
      'integration.not_your_attempt',
      403,
      `The attempt with fence ${fence} is held with another key. Submit with the key that the agent connected with.`,
      { data: { taskId, fence } },
    );
  }
}

export class UnknownBase extends MusterError {
  constructor(base: string, branch: string, head: string) {
    super(
      'integration.unknown_base',
      422,
      `${base} is not in the history of ${branch}. Fetch ${branch} (its head is ${head}), redo the change on a commit of it, and submit again with that commit as base.`,
      { data: { base, branch, head } },
    );
  }
}

export class UnknownBranch extends MusterError {
  constructor(branch: string, target: string) {
    super(
      'integration.unknown_branch',
      422,
      `Submissions go into ${target}, not into ${branch}. Push to refs/for/${target}.`,
      { data: { branch, target } },
    );
  }
}

export class EmptyBranch extends MusterError {
  constructor(branch: string) {
    super(
      'integration.empty_branch',
      422,
      `${branch} has no commit yet, so there is nothing to compare a change with. Import a repository into the project first.`,
      { data: { branch } },
    );
  }
}

export class UnknownCommit extends MusterError {
  constructor(commit: string, base: string) {
    super(
      'integration.unknown_commit',
      422,
      `The project has no commit ${commit} that descends from ${base}. Push it to refs/for/<branch> first, or submit files or a patch.`,
      { data: { commit, base } },
    );
  }
}

export class UnfitPaths extends MusterError {
  constructor(paths: readonly string[]) {
    const named = paths.slice(0, 3).map((path) => JSON.stringify(path.slice(0, 200)));
    super(
      'integration.unfit_paths',
      422,
      `The commit brings what cannot be verified as files: ${named.join(', ')}. Take submodules and such names out of it.`,
      { data: { paths: paths.slice(0, 20).map((path) => path.slice(0, 200)) } },
    );
  }
}

export class EmptyChange extends MusterError {
  constructor(base: string) {
    super(
      'integration.empty_change',
      422,
      `The submission leaves everything as it is in ${base}. Make a change, or complete the task with a result instead of submitting.`,
      { data: { base } },
    );
  }
}

export class NotLanded extends MusterError {
  constructor(landingId: string, state: string) {
    super(
      'integration.not_landed',
      409,
      state === 'rolled_back'
        ? `${landingId} is rolled back already. Look at its rolledBackBy.`
        : `${landingId} is ${state}; only what has landed can be rolled back. Wait until its state is landed.`,
      { data: { landingId, state } },
    );
  }
}

export class NothingInRange extends MusterError {
  constructor() {
    super(
      'integration.nothing_in_range',
      409,
      'Between these two there is no landing that could come out. `from` is the older one; look at GET /api/landings.',
    );
  }
}

export class NothingToRevert extends MusterError {
  constructor(landingId: string) {
    super(
      'integration.nothing_to_revert',
      409,
      `Nothing of ${landingId} is left on its branch: later landings have undone it. There is nothing to roll back.`,
      { data: { landingId } },
    );
  }
}

export class NotAPerson extends MusterError {
  constructor() {
    super(
      'integration.not_a_person',
      403,
      'Only a person releases or reviews a change, and this is a key. Log in and do it under your own access token.',
    );
  }
}

export class NotHeld extends MusterError {
  constructor(submissionId: string, state: string) {
    super(
      'integration.not_held',
      409,
      `${submissionId} is ${state} and waits for nobody's release. Look at its state and reasons.`,
      { data: { submissionId, state } },
    );
  }
}

export class OwnWork extends MusterError {
  constructor(submissionId: string) {
    super(
      'integration.own_work',
      403,
      `${submissionId} was handed in by you or by an agent that works with a key of yours. Ask somebody else to review it.`,
      { data: { submissionId } },
    );
  }
}

export class NotReviewable extends MusterError {
  constructor(submissionId: string, state: string) {
    super(
      'integration.not_reviewable',
      409,
      `${submissionId} is ${state}, and nothing that is said about it would count any more. Look at its state and reasons.`,
      { data: { submissionId, state } },
    );
  }
}

export class OneOfEachProject extends MusterError {
  constructor() {
    super(
      'integration.one_of_each_project',
      422,
      'A set has one member for each project. Put what belongs to one project into one change, or leave one of them out.',
    );
  }
}

export class InAnotherSet extends MusterError {
  constructor() {
    super(
      'integration.in_another_set',
      409,
      'One of these belongs to a set already, and belongs to it for good. Ask for the work by new tasks and link these.',
    );
  }
}

export class TooLateForASet extends MusterError {
  constructor(id: string, state: string) {
    super(
      'integration.too_late_for_a_set',
      409,
      `${id} is ${state}, so it cannot land together with anything any more. Link what has not come to its end.`,
      { data: { id, state } },
    );
  }
}

export class SetNotLanded extends MusterError {
  constructor(setId: string, state: string) {
    super(
      'integration.set_not_landed',
      409,
      state === 'rolled_back'
        ? `${setId} is rolled back already. Look at its rolledBackBySetId.`
        : `${setId} is ${state}; only a set that has landed can be rolled back. Wait until its state is landed.`,
      { data: { setId, state } },
    );
  }
}
