import { createHash } from 'node:crypto';
import { blobRef, blobView, digestOf, isBlobRef, referencedFromBytes, type BlobRef } from '@muster/contracts';
import { z } from 'zod';
import type { Http } from './http.ts';
import type { JsonValue } from './json.ts';

const part = encodeURIComponent;

/** Large inputs and outputs travel beside their task: stored once by content, and referred to. */
export class BlobClient {
  readonly #http: Http;

  constructor(http: Http) {
    this.#http = http;
  }

  /** Stores the JSON of a value for tasks of a project to refer to as their input. */
  put(projectId: string, value: unknown): Promise<BlobRef> {
    return this.#put(`/api/projects/${part(projectId)}/blobs`, JSON.stringify(value));
  }

  /** What a reference stands for; checked against its digest. */
  async get(projectId: string, ref: BlobRef): Promise<JsonValue> {
    const digest = digestOf(ref);
    const text = await this.#http.call({
      method: 'GET',
      path: `/api/projects/${part(projectId)}/blobs/${digest}`,
      text: true,
      answer: z.string(),
    });
    if (sha256(text) !== digest) throw new Error(`What came for ${ref.$ref} has another digest. Try again.`);
    return JSON.parse(text) as JsonValue;
  }

  /** A value of a task as it is: what a reference stands for, anything else unchanged. */
  async valueOf(projectId: string, value: JsonValue): Promise<JsonValue> {
    return isBlobRef(value) ? this.get(projectId, blobRef.parse(value)) : value;
  }

  /** An input as it is best sent: itself, or a reference where it is large. */
  async forInput<T>(projectId: string, value: T): Promise<T | BlobRef> {
    const text = large(value);
    return text === null ? value : this.#put(`/api/projects/${part(projectId)}/blobs`, text);
  }

  /** The same for the output of an attempt, whose key need not be allowed to create tasks. */
  async forOutput<T>(of: { readonly taskId: string; readonly fence: number }, value: T): Promise<T | BlobRef> {
    const text = large(value);
    return text === null ? value : this.#put(`/api/tasks/${part(of.taskId)}/attempts/${of.fence}/blobs`, text);
  }

  async #put(path: string, text: string): Promise<BlobRef> {
    const { ref } = await this.#http.call({
      method: 'PUT',
      path: `${path}/${sha256(text)}`,
      raw: { bytes: new TextEncoder().encode(text), contentType: 'application/octet-stream' },
      answer: blobView,
    });
    return ref;
  }
}

const sha256 = (text: string): string => createHash('sha256').update(text, 'utf8').digest('hex');

/** The JSON of a value that is too large to go along; null: it is small, or a reference already. */
function large(value: unknown): string | null {
  if (value === undefined || value === null || isBlobRef(value)) return null;
  const text = JSON.stringify(value);
  return Buffer.byteLength(text) < referencedFromBytes ? null : text;
}
