import { MusterError, type FieldError } from '#kernel';

export class DefinitionInvalid extends MusterError {
  constructor(errors: readonly FieldError[]) {
    const first = errors[0];
    const place = first?.line === undefined ? '' : ` on line ${first.line}, column ${first.column ?? 1}`;
    const more = errors.length > 1 ? ` (and ${errors.length - 1} more)` : '';
    super(
      'registry.definition_invalid',
      422,
      `This agent definition is not valid: ${first?.path ? `${first.path} ` : ''}${first?.message ?? ''}${place}${more}. Correct what "errors" names and send it again.`,
      { errors },
    );
  }
}

export class CapabilityReserved extends MusterError {
  constructor(errors: readonly FieldError[]) {
    super(
      'registry.capability_reserved',
      422,
      'Capabilities under "muster." belong to the system; nobody else may declare or answer them. Give the skill another name.',
      { errors },
    );
  }
}

export class DefinitionTooLarge extends MusterError {
  constructor(bytes: number, limit: number) {
    super(
      'registry.definition_too_large',
      413,
      `A definition may have ${limit} bytes; this one has ${bytes}. Move long texts and data out of it.`,
      { data: { bytes, limit } },
    );
  }
}

export class AgentUnknown extends MusterError {
  constructor(agent: string) {
    super('registry.agent_unknown', 404, 'There is no such agent. GET /api/agents lists those of your team.', {
      data: { agent },
    });
  }
}

export class VersionUnknown extends MusterError {
  constructor(agent: string, version: string) {
    super(
      'registry.version_unknown',
      404,
      `There is no such version of this agent. GET /api/agents/${encodeURIComponent(agent)}/versions lists those there are.`,
      { data: { agent, version } },
    );
  }
}

export class TemplateUnknown extends MusterError {
  constructor(name: string) {
    super(
      'registry.template_unknown',
      404,
      'There is no such template. GET /api/agents/templates lists those there are.',
      {
        data: { name },
      },
    );
  }
}

/** The same name and version with another content: versions never change. */
export class VersionTaken extends MusterError {
  constructor(agent: string, version: string, state: string) {
    const way =
      state === 'draft'
        ? 'Raise metadata.version, or delete the draft first.'
        : 'Raise metadata.version and register it again; a version that is out never changes.';
    super(
      'registry.version_taken',
      409,
      `Version ${version} of ${agent} is registered already with another content. ${way}`,
      {
        data: { agent, version, state },
      },
    );
  }
}

export class VersionImmutable extends MusterError {
  constructor(agent: string, version: string, state: string) {
    super(
      'registry.version_immutable',
      409,
      `Version ${version} of ${agent} is ${state}; only drafts can be deleted. Deprecate it instead, so that nothing new uses it.`,
      { data: { agent, version, state } },
    );
  }
}

export class WrongState extends MusterError {
  constructor(agent: string, version: string, state: string, wanted: string) {
    const next =
      wanted === 'deprecate'
        ? 'Only a published version can be deprecated; delete a draft instead.'
        : 'A deprecated version stays so; register a new version.';
    super('registry.wrong_state', 409, `Version ${version} of ${agent} is ${state}. ${next}`, {
      data: { agent, version, state },
    });
  }
}

export class AgentInUse extends MusterError {
  constructor(agent: string, cause: unknown) {
    super(
      'registry.agent_in_use',
      409,
      `A project still has ${agent} assigned. Unassign it there first, or deprecate its versions so that nothing new uses them.`,
      { data: { agent }, cause },
    );
  }
}

export class PublishingForbidden extends MusterError {
  constructor() {
    super(
      'registry.publishing_forbidden',
      403,
      'You may register agents but not publish them. Send it without "publish" and ask someone with agent.publish to publish it.',
    );
  }
}
