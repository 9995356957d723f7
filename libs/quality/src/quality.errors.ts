import { MusterError } from '#kernel';

export class NothingToVerify extends MusterError {
  constructor() {
    super(
      'quality.nothing_to_verify',
      409,
      'The branch of this project has no commit yet. Import or land something first.',
    );
  }
}
export class NotFinished extends MusterError {
  constructor() {
    super(
      'quality.not_finished',
      409,
      'This verification has no findings yet. Ask again when its state is "finished", or follow verification.finished in the stream.',
    );
  }
}
export class CheckUnknown extends MusterError {
  constructor(unknown: readonly string[], known: readonly string[]) {
    super(
      'quality.check_unknown',
      422,
      `This verification has no check ${unknown.join(', ')}. Name some of ${known.join(', ')}.`,
      { data: { unknown, known } },
    );
  }
}
export class AttemptOver extends MusterError {
  constructor(verificationId: string, fence: number) {
    super(
      'quality.attempt_over',
      409,
      `Verification ${verificationId} has finished, or another attempt than ${fence} is at it. Stop; nothing more of this attempt counts.`,
      { data: { verificationId, fence } },
    );
  }
}
export class ArtefactGone extends MusterError {
  constructor(name: string) {
    super(
      'quality.artefact_unknown',
      404,
      `No check left an artefact ${name}, or it has been taken away since. List the artefacts to see which there are.`,
      { data: { name } },
    );
  }
}
export class ArtefactTooLarge extends MusterError {
  constructor(size: number, most: number) {
    super(
      'quality.artefact_too_large',
      413,
      `An artefact has at most ${most} bytes, and this one has ${size}. Cut it.`,
      {
        data: { size, most },
      },
    );
  }
}
export class TooManyArtefacts extends MusterError {
  constructor(most: number) {
    super('quality.too_many_artefacts', 422, `A verification keeps at most ${most} artefacts. Leave some out.`, {
      data: { most },
    });
  }
}
export class NoArtefact extends MusterError {
  constructor() {
    super('quality.artefact_missing', 400, 'Send the content as application/octet-stream.');
  }
}
export class NoFindings extends MusterError {
  constructor() {
    super(
      'quality.no_findings',
      409,
      'This verification ended without findings; its reasons say why. Request a new one.',
    );
  }
}
