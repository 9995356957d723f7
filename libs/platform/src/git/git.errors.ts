import { MusterError } from '#kernel';

export class PatchDoesNotApply extends MusterError {
  constructor(details: string) {
    super(
      'repository.patch_does_not_apply',
      422,
      `The patch does not apply to its base commit: ${details || 'git found no place for it'}. Make it with \`git diff --binary <base>\` on exactly that base and send it again.`,
    );
  }
}
export class PathRefused extends MusterError {
  constructor(path: string, why: string) {
    super('repository.path_refused', 422, `The path ${JSON.stringify(path.slice(0, 300))} cannot be changed: ${why}.`, {
      data: { path },
    });
  }
}
export class FileTooLarge extends MusterError {
  constructor(path: string, size: number, maxBytes: number) {
    super(
      'repository.file_too_large',
      422,
      `The file ${JSON.stringify(path)} has ${size} bytes; at most ${maxBytes} are read. Make it smaller.`,
    );
  }
}
export class NotAnObject extends MusterError {
  constructor() {
    super(
      'repository.not_an_object',
      422,
      'A full git object id in lower-case hex was expected here. Use `git rev-parse` to get one.',
    );
  }
}
