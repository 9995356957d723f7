import { StandardSchemaValidationPipe } from '@nestjs/common';
import { InvalidRequest } from './http.errors.ts';

interface Issue {
  readonly message: string;
  readonly path?: readonly (PropertyKey | { readonly key: PropertyKey })[] | undefined;
}

export const toFieldError = (issue: Issue): { path: string; message: string } => ({
  path: (issue.path ?? []).map((part) => String(typeof part === 'object' ? part.key : part)).join('.'),
  message: issue.message,
});

/** Checks `@Body({ schema })`, `@Query({ schema })` and `@Param(name, { schema })`; what is wrong is named field by field. */
export const validationPipe = (): StandardSchemaValidationPipe =>
  new StandardSchemaValidationPipe({
    exceptionFactory: (issues: readonly Issue[]) => new InvalidRequest(issues.slice(0, 100).map(toFieldError)),
  });
