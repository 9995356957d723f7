import { createHmac } from 'node:crypto';
import { objectId } from '@muster/contracts';
import { z } from 'zod';
import { isSame } from './constant-time.ts';
import { type Forge, headerOf } from './forge.ts';

const pushed = z.object({
  ref: z.string().startsWith('refs/heads/'),
  after: objectId,
  deleted: z.boolean(),
  repository: z.object({ full_name: z.string() }),
});
const statuses = z.array(
  z.object({
    context: z.string(),
    state: z.string(),
    description: z.string().nullable(),
    target_url: z.string().nullable(),
  }),
);

/** GitHub, and GitHub Enterprise Server: https://docs.github.com/rest. */
export const github: Forge = {
  isAuthentic({ headers, body }, secret) {
    const given = headerOf(headers, 'x-hub-signature-256');
    return given !== null && isSame(given, `sha256=${createHmac('sha256', secret).update(body).digest('hex')}`);
  },
  deliveryOf: ({ headers }) => ({ name: headerOf(headers, 'x-github-delivery'), covered: false }),
  understand(headers, payload) {
    const event = headerOf(headers, 'x-github-event') ?? 'unknown';
    const push = event === 'push' ? pushed.safeParse(payload) : null;
    if (push?.success !== true || push.data.deleted) return { kind: 'other', event };
    const { ref, after, repository } = push.data;
    return {
      kind: 'push',
      event,
      repository: repository.full_name,
      branch: ref.slice('refs/heads/'.length),
      commit: after,
    };
  },
  async setStatus(api, repository, commit, { context, state, description, url }) {
    await api.call('POST', `/repos/${repository}/statuses/${commit}`, { state, context, description, target_url: url });
  },
  async hasStatus(api, repository, commit, wanted) {
    // The newest first.
    for await (const page of api.pages(`/repos/${repository}/commits/${commit}/statuses?per_page=100`)) {
      const last = statuses.parse(page).find(({ context }) => context === wanted.context);
      if (last !== undefined)
        return last.state === wanted.state && last.description === wanted.description && last.target_url === wanted.url;
    }
    return false;
  },
};
