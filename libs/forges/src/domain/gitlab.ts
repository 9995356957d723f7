import { createHmac } from 'node:crypto';
import { objectId } from '@muster/contracts';
import { z } from 'zod';
import { ForgeFailed } from '../forges.errors.ts';
import { isSame } from './constant-time.ts';
import { gitlabRequests, projectPath as project } from './gitlab-requests.ts';
import { type Forge, headerOf, type SentWebhook, type Status } from './forge.ts';

/** As the Standard Webhooks specification has it. */
const TOLERANCE_MS = 5 * 60_000;
const GONE = /^0+$/;

const pushed = z.object({
  object_kind: z.literal('push'),
  ref: z.string().startsWith('refs/heads/'),
  after: objectId,
  project: z.object({ path_with_namespace: z.string() }),
});
const requested = z.object({
  object_kind: z.literal('merge_request'),
  // Its target: webhooks come from there.
  project: z.object({ path_with_namespace: z.string() }),
  object_attributes: z.object({ iid: z.int().positive() }),
});
const statuses = z.array(
  z.object({
    name: z.string(),
    status: z.string(),
    description: z.string().nullable(),
    target_url: z.string().nullable(),
  }),
);
const stateOf = { pending: 'pending', success: 'success', failure: 'failed', error: 'failed' } as const;

/** The signing token of newer GitLabs: HMAC over delivery, moment and body. */
function isSigned({ headers, body }: SentWebhook, secret: string, now: Date): boolean {
  const [id, at, given] = ['webhook-id', 'webhook-timestamp', 'webhook-signature'].map((name) =>
    headerOf(headers, name),
  );
  if (id == null || at == null || given == null || !/^\d{1,12}$/.test(at)) return false;
  if (Math.abs(now.getTime() - Number(at) * 1000) > TOLERANCE_MS) return false;
  const key = Buffer.from(secret.replace(/^whsec_/, ''), 'base64');
  const expected = `v1,${createHmac('sha256', key).update(`${id}.${at}.`).update(body).digest('base64')}`;
  return given.split(' ').some((one) => isSame(one, expected));
}

const isLast = (last: z.output<typeof statuses>[number], wanted: Status): boolean =>
  last.status === stateOf[wanted.state] && last.description === wanted.description && last.target_url === wanted.url;

/** GitLab, of gitlab.com or one's own: https://docs.gitlab.com/api. */
export const gitlab: Forge = {
  isAuthentic(sent, secret, now) {
    // A signature that is there counts: a token beside it does not mend a wrong one.
    if (sent.headers['webhook-signature'] !== undefined) return isSigned(sent, secret, now);
    const token = headerOf(sent.headers, 'x-gitlab-token');
    return token !== null && isSame(token, secret);
  },
  deliveryOf({ headers }) {
    const signed = headers['webhook-signature'] !== undefined;
    const name = signed
      ? 'webhook-id'
      : headers['idempotency-key'] === undefined
        ? 'x-gitlab-event-uuid'
        : 'idempotency-key';
    // Who has captured a token can say whatever they like, and two honest pushes may have one body.
    return { name: headerOf(headers, name), covered: true };
  },
  understand(headers, payload) {
    const event = headerOf(headers, 'x-gitlab-event') ?? 'unknown';
    const asked = requested.safeParse(payload);
    if (asked.success) {
      const { project: target, object_attributes: request } = asked.data;
      return { kind: 'request', event, repository: target.path_with_namespace, number: request.iid };
    }
    const push = pushed.safeParse(payload);
    if (!push.success || GONE.test(push.data.after)) return { kind: 'other', event };
    const { ref, after, project: there } = push.data;
    return {
      kind: 'push',
      event,
      repository: there.path_with_namespace,
      branch: ref.slice('refs/heads/'.length),
      commit: after,
    };
  },
  async setStatus(api, repository, commit, { context, state, description, url }) {
    try {
      const body = { state: stateOf[state], name: context, description, target_url: url };
      await api.call('POST', `${project(repository)}/statuses/${commit}`, body);
    } catch (error) {
      // It says just that already.
      if (!(error instanceof ForgeFailed && /Cannot transition status via/.test(error.message))) throw error;
    }
  },
  async hasStatus(api, repository, commit, wanted) {
    const query = new URLSearchParams({ name: wanted.context, per_page: '100' });
    for await (const page of api.pages(
      `${project(repository)}/repository/commits/${commit}/statuses?${query.toString()}`,
    )) {
      const last = statuses.parse(page).find(({ name }) => name === wanted.context);
      if (last !== undefined) return isLast(last, wanted);
    }
    return false;
  },
  requests: gitlabRequests,
  showCheck: null,
};
