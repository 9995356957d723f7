import { type ArgumentMetadata, StandardSchemaValidationPipe } from '@nestjs/common';
import { InvalidRequest } from './http.errors.ts';

interface Issue {
  readonly message: string;
  readonly path?: readonly (PropertyKey | { readonly key: PropertyKey })[] | undefined;
}

export const toFieldError = (issue: Issue): { path: string; message: string } => ({
  path: (issue.path ?? []).map((part) => String(typeof part === 'object' ? part.key : part)).join('.'),
  message: issue.message,
});

/** Reads what would fit the schema as the schema would; null: let the schema look. */
type QuickRead = (value: unknown) => object | null;
const quickReads = new WeakMap<object, QuickRead>();

/** For bodies that come by the thousand. Called in a room's module constructor. */
export const readsQuickly = (schema: object, read: QuickRead): void => void quickReads.set(schema, read);

/** Checks `@Body({ schema })`, `@Query({ schema })` and `@Param(name, { schema })`; what is wrong is named field by field. */
class ValidationPipe extends StandardSchemaValidationPipe {
  constructor() {
    super({
      exceptionFactory: (issues: readonly Issue[]) => new InvalidRequest(issues.slice(0, 100).map(toFieldError)),
    });
  }

  override transform<T>(value: T, metadata: ArgumentMetadata): Promise<T> {
    const quick = metadata.schema === undefined ? undefined : quickReads.get(metadata.schema)?.(value);
    return quick ? Promise.resolve(quick as T) : super.transform(value, metadata);
  }
}

export const validationPipe = (): StandardSchemaValidationPipe => new ValidationPipe();
