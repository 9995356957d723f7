import { z } from 'zod';

/** The longest JSON that an input or output may be, by reference. */
export const maxReferencedBytes = 16 * 1024 * 1024;
/** From here on the SDK sends inputs and outputs by reference. */
export const referencedFromBytes = 256 * 1024;

export const blobDigest = z.string().regex(/^[0-9a-f]{64}$/, 'must be a SHA-256 in 64 lower case hex digits');

/**
 * Stands for a task's whole input or output, which is the JSON of that content. The content belongs to the task's project, is
 * checked against the skill's schema as if it stood here, and is kept for as long as the task.
 */
export const blobRef = z
  .strictObject({
    $ref: z.string().regex(/^blob:sha256:[0-9a-f]{64}$/, 'must be blob:sha256: and 64 lower case hex digits'),
    size: z.number().int().min(0).max(maxReferencedBytes),
    mediaType: z.literal('application/json'),
  })
  .meta({ id: 'BlobRef' });
export type BlobRef = z.infer<typeof blobRef>;

/** What storing a content answers: how to refer to it. */
export const blobView = z.object({ digest: blobDigest, size: z.number().int(), ref: blobRef }).meta({ id: 'Blob' });
export type BlobView = z.infer<typeof blobView>;

/** Whether a value means to be a reference; whether it is a right one, `blobRef` says. JSON Schema's own `$ref` is none. */
export const isBlobRef = (value: unknown): value is { readonly $ref: string } =>
  typeof value === 'object' &&
  value !== null &&
  '$ref' in value &&
  typeof value.$ref === 'string' &&
  value.$ref.startsWith('blob:');

export const digestOf = (ref: BlobRef): string => ref.$ref.slice('blob:sha256:'.length);
export const refTo = (digest: string, size: number): BlobRef => ({
  $ref: `blob:sha256:${digest}`,
  size,
  mediaType: 'application/json',
});
