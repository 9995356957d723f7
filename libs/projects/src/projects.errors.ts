import { MusterError, type FieldError } from '#kernel';

export class ProjectUnknown extends MusterError {
  constructor() {
    super('request.not_found', 404, 'There is no such project. List yours with GET /api/projects.');
  }
}
export class SlugTaken extends MusterError {
  constructor(slug: string) {
    super('projects.slug_taken', 409, `The team already has a project with the slug "${slug}". Choose another one.`, {
      data: { slug },
    });
  }
}
export class SourceRefused extends MusterError {
  constructor(why: string) {
    super('projects.source_refused', 422, why);
  }
}
export class NotARepository extends MusterError {
  constructor(details: string) {
    super(
      'projects.not_a_repository',
      422,
      `git could not read a repository there: ${details}. Check that \`git ls-remote <source>\` works without a password, or upload an archive to POST /api/projects/import.`,
    );
  }
}
export class SourceTooLarge extends MusterError {
  constructor(limit: string) {
    super(
      'projects.source_too_large',
      413,
      `The source is larger than ${limit}. Import a smaller one, without build output and history that nobody needs.`,
    );
  }
}
export class ArchiveInvalid extends MusterError {
  constructor(why: string) {
    super(
      'projects.archive_invalid',
      422,
      `The archive cannot be imported: ${why}. Send a tar or tar.gz, for example \`git archive --format=tar.gz HEAD\`.`,
    );
  }
}
export class OpenWork extends MusterError {
  constructor(count: number) {
    super(
      'projects.open_work',
      409,
      `The project still has ${count} open task${count === 1 ? '' : 's'}. Cancel or finish them, then delete it.`,
      {
        data: { openTasks: count },
      },
    );
  }
}
export class AgentNotPublished extends MusterError {
  constructor(agent: string, range: string) {
    super(
      'projects.agent_not_published',
      422,
      `The team has no published version of the agent "${agent}" that satisfies "${range}". Publish one, or name another range.`,
      { data: { agent, version: range } },
    );
  }
}
export class RangeInvalid extends MusterError {
  constructor(range: string) {
    const errors: FieldError[] = [{ path: 'version', message: 'must be a range of semantic versions, like ^1.2.0' }];
    super(
      'request.invalid',
      400,
      `"${range}" is not a range of semantic versions. Write for example ^1.2.0, 2.x or *.`,
      { errors },
    );
  }
}
export class CapabilityMissing extends MusterError {
  constructor(agent: string, version: string, missing: readonly string[], offered: readonly string[]) {
    super(
      'projects.capability_missing',
      422,
      `Version ${version} of "${agent}" cannot do ${missing.join(', ')}. It offers ${offered.join(', ')}; assign some of these or publish a version that can.`,
      { data: { agent, version, missing, offered } },
    );
  }
}
export class AssignmentUnknown extends MusterError {
  constructor() {
    super(
      'request.not_found',
      404,
      'This agent is not assigned to the project. See GET /api/projects/{projectId}/agents.',
    );
  }
}
export class GitBusy extends MusterError {
  constructor() {
    super('projects.git_busy', 503, 'Too many clones, pushes or imports are running. Try again in a few seconds.');
  }
}
export class GitRequestInvalid extends MusterError {
  constructor(why: string, options: ErrorOptions = {}) {
    super('projects.git_request_invalid', 400, why, options);
  }
}
export class NoSuchRemote extends MusterError {
  constructor(direction: string) {
    super(
      'projects.no_such_remote',
      404,
      `The project has no remote "${direction}". Set one with PUT /api/projects/{projectId}/remotes/${direction}.`,
    );
  }
}
