import { describe, expect, it } from '@jest/globals';
import { createHmac } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { sign } from '@octokit/webhooks-methods';
import { github } from './domain/github.ts';
import { gitlab } from './domain/gitlab.ts';

interface Example {
  readonly name: string;
  readonly examples: ReadonlyArray<Record<string, unknown>>;
}
const recorded = createRequire(import.meta.url)('@octokit/webhooks-examples') as Example[];
const fromGitlab = (name: string): unknown =>
  JSON.parse(readFileSync(new URL(`../test/gitlab/${name}.json`, import.meta.url), 'utf8'));
const now = new Date('2026-05-01T12:00:00Z');
const key = Buffer.alloc(32, 7);
const secret = `whsec_${key.toString('base64')}`;
const body = Buffer.from(JSON.stringify(fromGitlab('push')));

describe('a webhook of GitHub', () => {
  it.each(recorded.flatMap(({ name, examples }) => examples.map((payload, at) => ({ name, at, payload }))))(
    '$name ($at) is signed as GitHub’s own library signs it, and is not when a byte or the secret differs',
    async ({ payload }) => {
      const text = JSON.stringify(payload);
      const headers = { 'x-hub-signature-256': await sign(secret, text) };
      expect(github.isAuthentic({ headers, body: Buffer.from(text) }, secret, now)).toBe(true);
      expect(github.isAuthentic({ headers, body: Buffer.from(`${text} `) }, secret, now)).toBe(false);
      expect(github.isAuthentic({ headers, body: Buffer.from(text) }, `${secret}x`, now)).toBe(false);
      expect(github.isAuthentic({ headers: {}, body: Buffer.from(text) }, secret, now)).toBe(false);
    },
  );

  it('about a push to a branch or a pull request is understood, and about everything else it is left alone', () => {
    const understood = recorded.flatMap(({ name, examples }) =>
      examples.map((payload) => ({ payload, happened: github.understand({ 'x-github-event': name }, payload) })),
    );
    const pushes = understood.filter(({ happened }) => happened.kind === 'push');
    for (const { payload, happened } of pushes)
      expect(happened).toMatchObject({
        event: 'push',
        branch: String(payload['ref']).slice(11),
        commit: payload['after'],
      });
    const requests = understood.filter(({ happened }) => happened.kind === 'request');
    for (const { payload, happened } of requests)
      expect(happened).toMatchObject({ event: 'pull_request', number: payload['number'] });
    expect(requests.length).toBe(recorded.find(({ name }) => name === 'pull_request')?.examples.length);
    expect(requests.length).toBeGreaterThan(10);
    expect(pushes.length).toBe(
      recorded
        .filter(({ name }) => name === 'push')
        .flatMap(({ examples }) => examples)
        .filter(({ ref, deleted }) => String(ref).startsWith('refs/heads/') && deleted === false).length,
    );
    expect(pushes.length).toBeGreaterThan(0);
    for (const payload of [null, 1, 'x', [], {}, { ref: 7 }])
      expect(github.understand({ 'x-github-event': 'push' }, payload)).toEqual({ kind: 'other', event: 'push' });
  });
});

describe('a webhook of GitLab', () => {
  const signed = (id: string, at: number): Record<string, string> => ({
    'webhook-id': id,
    'webhook-timestamp': String(at),
    'webhook-signature': `v1,${createHmac('sha256', key).update(`${id}.${at}.`).update(body).digest('base64')}`,
  });
  const at = now.getTime() / 1000;

  it('counts with its signing token, and only for its own name, moment and bytes', () => {
    const headers = signed('one', at);
    expect(gitlab.isAuthentic({ headers, body }, secret, now)).toBe(true);
    expect(gitlab.isAuthentic({ headers: { ...headers, 'webhook-id': 'two' }, body }, secret, now)).toBe(false);
    expect(
      gitlab.isAuthentic({ headers: { ...headers, 'webhook-timestamp': String(at + 1) }, body }, secret, now),
    ).toBe(false);
    expect(gitlab.isAuthentic({ headers, body: Buffer.from(`${body.toString()} `) }, secret, now)).toBe(false);
    expect(gitlab.isAuthentic({ headers: signed('one', at - 301), body }, secret, now)).toBe(false);
    const both = { ...headers, 'webhook-signature': `v1,AAAA ${headers['webhook-signature']}` };
    expect(gitlab.isAuthentic({ headers: both, body }, secret, now)).toBe(true);
  });

  it('counts with its secret token, which does not mend a signature that is wrong', () => {
    expect(gitlab.isAuthentic({ headers: { 'x-gitlab-token': secret }, body }, secret, now)).toBe(true);
    expect(gitlab.isAuthentic({ headers: { 'x-gitlab-token': secret.slice(1) }, body }, secret, now)).toBe(false);
    expect(gitlab.isAuthentic({ headers: {}, body }, secret, now)).toBe(false);
    const wrong = { ...signed('one', at - 301), 'x-gitlab-token': secret };
    expect(gitlab.isAuthentic({ headers: wrong, body }, secret, now)).toBe(false);
  });

  it('about a push to a branch or a merge request is understood, and about everything else it is left alone', () => {
    expect(gitlab.understand({ 'x-gitlab-event': 'Push Hook' }, fromGitlab('push'))).toEqual({
      kind: 'push',
      event: 'Push Hook',
      repository: 'accounts/ledger',
      branch: 'main',
      commit: 'c'.repeat(40),
    });
    expect(gitlab.understand({ 'x-gitlab-event': 'Merge Request Hook' }, fromGitlab('merge_request'))).toEqual({
      kind: 'request',
      event: 'Merge Request Hook',
      repository: 'accounts/ledger',
      number: 17,
    });
    expect(gitlab.understand({ 'x-gitlab-event': 'Note Hook' }, { object_kind: 'note' })).toMatchObject({
      kind: 'other',
    });
    const gone = { ...(fromGitlab('push') as object), after: '0'.repeat(40) };
    expect(gitlab.understand({ 'x-gitlab-event': 'Push Hook' }, gone)).toMatchObject({ kind: 'other' });
  });
});
