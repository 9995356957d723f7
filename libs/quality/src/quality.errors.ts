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
export class NoFindings extends MusterError {
  constructor() {
    super(
      'quality.no_findings',
      409,
      'This verification ended without findings; its reasons say why. Request a new one.',
    );
  }
}
