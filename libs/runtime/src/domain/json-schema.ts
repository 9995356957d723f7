import { Ajv2020, type ErrorObject, type ValidateFunction } from 'ajv/dist/2020.js';
import * as formats from 'ajv-formats';
import type { FieldError } from '#kernel';

const maxErrors = 20;
const maxCompiled = 500;

/** Checks task inputs and outputs against the JSON Schemas (draft 2020-12) that agent definitions declare. */
export class JsonSchemas {
  private readonly compiled = new Map<string, ValidateFunction | Error>();
  /** The same object as last time needs no look at what stands in it. */
  private readonly byObject = new WeakMap<object, ValidateFunction | Error>();

  /** What is wrong with the value; nothing when it fits. */
  check(schema: unknown, value: unknown, at: string): FieldError[] {
    const validate = this.compiledOf(schema);
    if (validate instanceof Error)
      return [{ path: at, message: `the agent's schema cannot be used: ${validate.message}` }];
    if (validate(value) === true) return [];
    return (validate.errors ?? [])
      .slice(0, maxErrors)
      .map((error) => ({ path: pathOf(at, error), message: error.message ?? error.keyword }));
  }

  private compiledOf(schema: unknown): ValidateFunction | Error {
    if (typeof schema !== 'object' || schema === null) return this.compile(schema);
    let known = this.byObject.get(schema);
    if (known === undefined) {
      known = this.compile(schema);
      this.byObject.set(schema, known);
    }
    return known;
  }

  private compile(schema: unknown): ValidateFunction | Error {
    const text = JSON.stringify(schema);
    const known = this.compiled.get(text);
    if (known !== undefined) return known;
    let result: ValidateFunction | Error;
    try {
      // One instance per schema: two definitions may use the same $id for different things.
      // It was judged as a schema when it was registered; the schema of schemas takes longer to compile than all of ours.
      const ajv = new Ajv2020({ strict: false, allErrors: true, validateFormats: true, validateSchema: false });
      formats.default.default(ajv);
      result = ajv.compile(schema as object | boolean);
    } catch (cause) {
      result = cause instanceof Error ? cause : new Error(String(cause));
    }
    if (this.compiled.size >= maxCompiled) this.compiled.delete(this.compiled.keys().next().value ?? '');
    this.compiled.set(text, result);
    return result;
  }
}

function pathOf(at: string, error: ErrorObject): string {
  const extra: unknown =
    error.params['missingProperty'] ?? error.params['additionalProperty'] ?? error.params['unevaluatedProperty'];
  const parts = error.instancePath.split('/').filter((part) => part !== '');
  return [
    at,
    ...parts.map((part) => part.replaceAll('~1', '/').replaceAll('~0', '~')),
    ...(typeof extra === 'string' ? [extra] : []),
  ].join('.');
}
