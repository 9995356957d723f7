import { agentDefinition, type AgentDefinition } from '@muster/contracts';
import { Ajv2020, type ErrorObject } from 'ajv/dist/2020.js';
import addFormats from 'ajv-formats';
import semver from 'semver';
import type { z } from 'zod';
import type { FieldError } from '#kernel';
import { mayTrigger, ownEventsThatTrigger } from '#messages/events';
import { CapabilityReserved, DefinitionInvalid } from '../registry.errors.ts';
import type { Path, SentDefinition } from './read-source.ts';

/** Words that stand where an agent's name stands in the routes below /api/agents. */
const reservedNames: ReadonlySet<string> = new Set(['events', 'import', 'search', 'templates']);
const MAX_ERRORS = 100;
/** Compiling is more than linear in what a schema holds. */
const SCHEMA_LIMIT_BYTES = 32 * 1024;

interface Flaw {
  readonly path: Path;
  readonly message: string;
  readonly atKey?: boolean;
  readonly reserved?: boolean;
}

/**
 * The definition as it will be kept, defaults filled in.
 * @param prefix names the definition in error paths where several were sent
 * @throws DefinitionInvalid, CapabilityReserved
 */
export function checkDefinition(sent: SentDefinition, prefix: Path = []): AgentDefinition {
  const unstorable = unstorableStrings(sent.value);
  if (unstorable.length > 0) throw refusal(unstorable, sent, prefix);
  const parsed = agentDefinition.safeParse(sent.value);
  if (!parsed.success) throw refusal(parsed.error.issues.flatMap(flawsOf), sent, prefix);
  const flaws = [...flawsOfMeaning(parsed.data), ...flawsOfSchemas(parsed.data)];
  if (flaws.length > 0) throw refusal(flaws, sent, prefix);
  return parsed.data;
}

function refusal(flaws: readonly Flaw[], sent: SentDefinition, prefix: Path): DefinitionInvalid | CapabilityReserved {
  const errors = flaws.slice(0, MAX_ERRORS).map(({ path, message, atKey }): FieldError => {
    const place = sent.placeOf(path, atKey);
    return { path: [...prefix, ...path].map(String).join('.'), message, ...(place ?? {}) };
  });
  return flaws.every(({ reserved }) => reserved) ? new CapabilityReserved(errors) : new DefinitionInvalid(errors);
}

function flawsOf(issue: z.core.$ZodIssue): Flaw[] {
  switch (issue.code) {
    case 'unrecognized_keys':
      return issue.keys.map((key) => ({
        path: [...issue.path, key],
        message: 'is not a field of an agent definition',
        atKey: true,
      }));
    case 'invalid_union': {
      const messages = issue.errors.flatMap((branch) => branch.slice(0, 1).map(({ message }) => message));
      return [{ path: issue.path, message: [...new Set(messages)].join(', or ') || issue.message }];
    }
    case 'invalid_key':
      return [{ path: issue.path, message: issue.issues[0]?.message ?? issue.message, atKey: true }];
    default:
      return [{ path: issue.path, message: issue.message }];
  }
}

/** What no schema can say: references between the parts. */
function flawsOfMeaning({ metadata, skills, triggers }: AgentDefinition): Flaw[] {
  const flaws: Flaw[] = [];
  if (semver.valid(metadata.version) === null) {
    flaws.push({ path: ['metadata', 'version'], message: 'must be a semantic version, like 1.2.0' });
  }
  if (reservedNames.has(metadata.name)) {
    flaws.push({
      path: ['metadata', 'name'],
      message: `is a word of the API (${[...reservedNames].join(', ')}); choose another`,
    });
  }
  const names = new Set<string>();
  for (const [index, { name }] of skills.entries()) {
    if (name === 'muster' || name.startsWith('muster.')) {
      flaws.push({
        path: ['skills', index, 'name'],
        message: 'capabilities under "muster." belong to the system',
        reserved: true,
      });
    }
    if (names.has(name)) flaws.push({ path: ['skills', index, 'name'], message: `names "${name}" a second time` });
    names.add(name);
  }
  for (const [index, { capability, event }] of triggers.entries()) {
    if (!names.has(capability)) {
      const known = [...names].slice(0, 5).join(', ');
      flaws.push({ path: ['triggers', index, 'capability'], message: `names no skill of this agent; it has ${known}` });
    }
    if (!mayTrigger(event)) {
      const path = ['triggers', index, 'event'];
      flaws.push({
        path,
        message: `cannot start anything; of Muster's own events these can: ${ownEventsThatTrigger.join(', ')}`,
      });
    }
  }
  return flaws;
}

/** Compiles every input and output schema, so that a broken one is refused here and not where a task meets it. */
function flawsOfSchemas({ skills }: AgentDefinition): Flaw[] {
  const ajv = new Ajv2020({
    strict: true,
    strictTypes: false,
    strictTuples: false,
    strictRequired: false,
    allowUnionTypes: true,
    // A large part that is referred to a thousand times would become a thousand large parts of code.
    inlineRefs: false,
    logger: false,
  });
  addFormats.default(ajv);
  const flaws: Flaw[] = [];
  for (const [index, skill] of skills.entries()) {
    for (const side of ['input', 'output'] as const) {
      const path = ['skills', index, side];
      try {
        const schema = skill[side];
        if (Buffer.byteLength(JSON.stringify(schema)) > SCHEMA_LIMIT_BYTES) {
          flaws.push({ path, message: `is larger than ${SCHEMA_LIMIT_BYTES} bytes as JSON` });
        } else if (ajv.validateSchema(schema) !== true)
          flaws.push(...(ajv.errors ?? []).slice(0, 5).map((error) => flawOfSchema(error, path)));
        else ajv.compile(schema);
      } catch (error) {
        flaws.push({
          path,
          message: `is not a JSON Schema (draft 2020-12): ${error instanceof Error ? error.message : String(error)}`,
        });
      } finally {
        // Two skills may carry the same $id.
        ajv.removeSchema();
      }
    }
  }
  return flaws;
}

function flawOfSchema(error: ErrorObject, path: Path): Flaw {
  const below = error.instancePath
    .split('/')
    .slice(1)
    .map((part) => part.replaceAll('~1', '/').replaceAll('~0', '~'));
  return {
    path: [...path, ...below],
    message: `is not a JSON Schema (draft 2020-12): ${error.message ?? error.keyword}`,
  };
}

/** PostgreSQL's jsonb takes neither NUL characters nor halves of surrogate pairs. */
function unstorableStrings(value: unknown): Flaw[] {
  const flaws: Flaw[] = [];
  const open: { value: unknown; path: Path }[] = [{ value, path: [] }];
  for (let entry = open.pop(); entry !== undefined && flaws.length < MAX_ERRORS; entry = open.pop()) {
    const { value: part, path } = entry;
    if (typeof part === 'string') {
      if (!isStorable(part)) flaws.push({ path, message: 'holds a NUL character or half of a surrogate pair' });
    } else if (part !== null && typeof part === 'object') {
      for (const [key, member] of Object.entries(part)) {
        if (!isStorable(key))
          flaws.push({ path, message: 'has a key with a NUL character or half of a surrogate pair' });
        open.push({ value: member, path: [...path, key] });
      }
    }
  }
  return flaws;
}

const isStorable = (text: string): boolean => !text.includes('\0') && text.isWellFormed();
