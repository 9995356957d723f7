import { z } from 'zod';

/** Every kind of thing that has an id, by the prefix that its ids carry. */
export const idPrefixes = {
  team: 'team',
  user: 'user',
  apiKey: 'key',
  project: 'proj',
  agent: 'agent',
  agentVersion: 'agv',
  assignment: 'asg',
  instance: 'inst',
  task: 'task',
  attempt: 'att',
  limit: 'lim',
  submission: 'sub',
  verification: 'ver',
  landing: 'land',
  set: 'set',
  incident: 'inc',
  forge: 'forge',
  webhook: 'hook',
  forgeRequest: 'freq',
  event: 'evt',
  blob: 'blob',
} as const;
export type IdKind = keyof typeof idPrefixes;

/**
 * A TypeID: a UUIDv7 in 26 characters of Crockford base32 behind a prefix that names what it identifies,
 * `task_01jd9x0m4ve2tbk6x3h2v4q8zr`. Ids of one kind sort by creation time.
 */
export const idOf = (kind: IdKind) =>
  z
    .string()
    .regex(new RegExp(`^${idPrefixes[kind]}_[0-7][0-9a-hjkmnp-tv-z]{25}$`), `must be an id like ${idPrefixes[kind]}_…`);

/** A git object id, SHA-1 (40 hex digits) or SHA-256 (64). */
export const objectId = z.string().regex(/^([0-9a-f]{40}|[0-9a-f]{64})$/, 'must be a full git object id');

/** A branch name as git allows it, without `refs/heads/`; never starts with a dash. */
export const branchName = z
  .string()
  .min(1)
  .max(200)
  .regex(/^(?![-/.])(?!.*(\.\.|\/\/|@\{|\.lock(\/|$)|\/\.))[\w./+@=-]+(?<![/.])$/, 'must be a plain git branch name');

/** What file systems take for `.git` besides it: other cases, letters that HFS+ does not see, what NTFS drops or adds at the end. */
const isGitFolder = (part: string): boolean =>
  /^(\.git|git~\d+)$/.test(
    part
      .replace(/[\u200c-\u200f\u202a-\u202e\u206a-\u206f\ufeff]/g, '')
      .toLowerCase()
      .replace(/:.*$/s, '')
      .replace(/[. ]+$/, ''),
  );

/** A path inside a repository: relative, forward slashes, no `.`/`..` segments, nothing below `.git`. */
export const repositoryPath = z
  .string()
  .min(1)
  .max(1024)
  .refine(
    (path) =>
      !path.startsWith('/') &&
      !/[\0\n\r\\]/.test(path) &&
      path.split('/').every((part) => part !== '' && part !== '.' && part !== '..' && !isGitFolder(part)),
    'must be a relative path inside the repository, without ., .., .git or backslashes',
  );

export const timestamp = z.iso.datetime({ offset: false });
export const capabilityName = z
  .string()
  .max(100)
  .regex(/^[a-z][a-z0-9]*([._-][a-z0-9]+)*$/, 'must look like code.review');
export const slug = z
  .string()
  .min(1)
  .max(63)
  .regex(/^[a-z0-9]([a-z0-9-]*[a-z0-9])?$/, 'must be lower case letters, digits and dashes');
/** JSON that a caller may attach; bounded by the body limit of the route. */
export const jsonObject = z.record(z.string(), z.json());

/** One page of a list. `nextCursor` is null on the last page; pass it back as `?cursor=`. */
export const pageOf = <T extends z.ZodType>(item: T) =>
  z.object({ items: z.array(item), nextCursor: z.string().nullable() });
export const pageQuery = z.object({
  limit: z.coerce.number().int().min(1).max(200).default(50),
  cursor: z.string().max(500).optional(),
});
