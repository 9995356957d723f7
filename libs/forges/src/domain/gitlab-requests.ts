import { objectId } from '@muster/contracts';
import { z } from 'zod';
import { type ForgeRequests, openOrLast, type RequestThere } from './forge.ts';
import type { ForgeApi } from './forge-api.ts';

/** From this role on somebody may push: Developer. */
const MAY_PUSH = 30;

const mergeRequest = z.object({
  iid: z.int().positive(),
  state: z.enum(['opened', 'closed', 'locked', 'merged']),
  draft: z.boolean().optional(),
  // What older ones say instead, and newer ones no longer.
  work_in_progress: z.boolean().default(false),
  title: z.string(),
  web_url: z.url(),
  author: z.object({ id: z.int(), username: z.string() }),
  source_branch: z.string(),
  target_branch: z.string(),
  source_project_id: z.int().nullable(),
  target_project_id: z.int(),
  sha: objectId,
});
const notes = z.array(z.object({ id: z.int(), body: z.string() }));
const member = z.object({ access_level: z.int(), state: z.string().default('active') });

export const projectPath = (repository: string): string => `/projects/${encodeURIComponent(repository)}`;
const requests = (repository: string): string => `${projectPath(repository)}/merge_requests`;

function requestOf(there: z.output<typeof mergeRequest>): RequestThere {
  return {
    number: there.iid,
    // Locked is what it is while it is being merged.
    state: there.state === 'opened' || there.state === 'locked' ? 'open' : there.state,
    draft: there.draft ?? there.work_in_progress,
    title: there.title,
    url: there.web_url,
    author: { id: there.author.id, name: there.author.username },
    branch: there.source_branch,
    head: there.sha,
    fork: there.source_project_id !== there.target_project_id,
    base: there.target_branch,
  };
}

async function listed(api: ForgeApi, path: string): Promise<RequestThere[]> {
  const found: RequestThere[] = [];
  for await (const page of api.pages(path))
    for (const json of z.array(z.unknown()).parse(page)) {
      const read = mergeRequest.safeParse(json);
      // One that is strange, like one without commits, keeps none of the others out.
      if (read.success) found.push(requestOf(read.data));
    }
  return found;
}

/** https://docs.gitlab.com/api/merge_requests. */
export const gitlabRequests: ForgeRequests = {
  refOf: (number) => `refs/merge-requests/${number}/head`,
  async find(api, repository, number) {
    const json = await api.find(`${requests(repository)}/${number}`);
    return json === null ? null : requestOf(mergeRequest.parse(json));
  },
  async open(api, repository) {
    return await listed(api, `${requests(repository)}?state=opened&order_by=updated_at&per_page=100`);
  },
  async ofBranch(api, repository, branch) {
    const query = new URLSearchParams({ source_branch: branch, state: 'all', per_page: '100' });
    const found = await listed(api, `${requests(repository)}?${query.toString()}`);
    return openOrLast(found.filter((one) => one.branch === branch && !one.fork));
  },
  async make(api, repository, { branch, base, title, body }) {
    const wish = { source_branch: branch, target_branch: base, title, description: body };
    return requestOf(mergeRequest.parse((await api.call('POST', requests(repository), wish)).json));
  },
  async describe(api, repository, number, { title, body }) {
    await api.call('PUT', `${requests(repository)}/${number}`, { title, description: body });
  },
  async close(api, repository, number) {
    await api.call('PUT', `${requests(repository)}/${number}`, { state_event: 'close' });
  },
  async mayWrite(api, repository, { id }) {
    const json = await api.find(`${projectPath(repository)}/members/all/${id}`);
    if (json === null) return false;
    const { access_level: level, state } = member.parse(json);
    return state === 'active' && level >= MAY_PUSH;
  },
  async findComment(api, repository, number, words) {
    for await (const page of api.pages(`${requests(repository)}/${number}/notes?sort=asc&per_page=100`)) {
      const found = notes.parse(page).find(({ body }) => body.includes(words));
      if (found !== undefined) return String(found.id);
    }
    return null;
  },
  async addComment(api, repository, number, text) {
    const { json } = await api.call('POST', `${requests(repository)}/${number}/notes`, { body: text });
    return String(z.object({ id: z.int() }).parse(json).id);
  },
  changeComment: (api, repository, number, id, text) =>
    api.change('PUT', `${requests(repository)}/${number}/notes/${id}`, { body: text }),
};
