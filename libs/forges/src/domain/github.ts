import { createHmac } from 'node:crypto';
import { objectId } from '@muster/contracts';
import { z } from 'zod';
import { isSame } from './constant-time.ts';
import { type Check, type Forge, headerOf, type Status } from './forge.ts';
import type { ForgeApi } from './forge-api.ts';
import { githubRequests } from './github-requests.ts';

const pushed = z.object({
  ref: z.string().startsWith('refs/heads/'),
  after: objectId,
  deleted: z.boolean(),
  repository: z.object({ full_name: z.string() }),
});
const requested = z.object({
  number: z.int().positive(),
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

const checkRun = z.object({
  id: z.int(),
  external_id: z.string().nullable(),
  status: z.string(),
  conclusion: z.string().nullable(),
  output: z.object({ title: z.string().nullable(), annotations_count: z.int() }),
});
type CheckRun = z.output<typeof checkRun>;
/** What GitHub takes with one call. */
const ANNOTATIONS_AT_ONCE = 50;
/** Neutral would count as passed. */
const conclusions: Record<Exclude<Status['state'], 'pending'>, string> = {
  success: 'success',
  failure: 'failure',
  error: 'action_required',
};

/** The newest run of this check, among all that this app has made on the commit. */
async function checkRunOf(
  api: ForgeApi,
  repository: string,
  commit: string,
  { context, externalId }: Check,
): Promise<CheckRun | null> {
  const query = new URLSearchParams({ check_name: context, filter: 'all', per_page: '100' });
  let newest: CheckRun | null = null;
  for await (const page of api.pages(`/repos/${repository}/commits/${commit}/check-runs?${query.toString()}`))
    for (const run of z.object({ check_runs: z.array(checkRun) }).parse(page).check_runs)
      if (run.external_id === externalId && run.id > (newest?.id ?? 0)) newest = run;
  return newest;
}

/**
 * Annotations are only ever added, so that how many there are says what has been sent. It is said to be over with the last of them; what
 * was over and is to say something else is a new run.
 */
async function showCheck(api: ForgeApi, repository: string, commit: string, check: Check): Promise<void> {
  const conclusion = check.state === 'pending' ? null : conclusions[check.state];
  const found = await checkRunOf(api, repository, commit, check);
  const isOver = found?.status === 'completed';
  const same = isOver && found.conclusion === conclusion && found.output.title === check.description;
  if (same) return;
  const runs = `/repos/${repository}/check-runs`;
  const output = { title: check.description, summary: check.summary };
  let id = isOver ? null : (found?.id ?? null);
  let sent = id === null ? 0 : (found?.output.annotations_count ?? 0);
  if (id === null) {
    const about = { name: check.context, head_sha: commit, external_id: check.externalId, details_url: check.url };
    const { json } = await api.call('POST', runs, { ...about, status: 'in_progress', output });
    id = z.object({ id: z.int() }).parse(json).id;
  }
  if (conclusion === null) {
    if (found !== null && !isOver && found.output.title !== check.description)
      await api.call('PATCH', `${runs}/${id}`, { status: 'in_progress', output });
    return;
  }
  for (;;) {
    const batch = check.annotations.slice(sent, sent + ANNOTATIONS_AT_ONCE);
    sent += batch.length;
    const isLast = sent >= check.annotations.length;
    await api.call('PATCH', `${runs}/${id}`, {
      ...(isLast ? { status: 'completed', conclusion } : { status: 'in_progress' }),
      details_url: check.url,
      output: {
        ...output,
        annotations: batch.map(({ path, line, level, title, message }) => ({
          path, start_line: line, end_line: line, annotation_level: level, title, message,
        })),
      },
    }); // prettier-ignore
    if (isLast) return;
  }
}

/** GitHub, and GitHub Enterprise Server: https://docs.github.com/rest. */
export const github: Forge = {
  isAuthentic({ headers, body }, secret) {
    const given = headerOf(headers, 'x-hub-signature-256');
    return given !== null && isSame(given, `sha256=${createHmac('sha256', secret).update(body).digest('hex')}`);
  },
  deliveryOf: ({ headers }) => ({ name: headerOf(headers, 'x-github-delivery'), covered: false }),
  understand(headers, payload) {
    const event = headerOf(headers, 'x-github-event') ?? 'unknown';
    const asked = event === 'pull_request' ? requested.safeParse(payload) : null;
    if (asked?.success === true)
      return { kind: 'request', event, repository: asked.data.repository.full_name, number: asked.data.number };
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
  requests: githubRequests,
  showCheck,
};
