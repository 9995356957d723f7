import { objectId } from '@muster/contracts';
import { z } from 'zod';
import { type ForgeRequests, openOrLast, type RequestThere } from './forge.ts';
import type { ForgeApi } from './forge-api.ts';

const pull = z.object({
  number: z.int().positive(),
  state: z.enum(['open', 'closed']),
  draft: z.boolean().default(false),
  // In lists there is no `merged`.
  merged_at: z.string().nullable(),
  title: z.string(),
  html_url: z.url(),
  // Who has left is nobody.
  user: z.object({ id: z.int(), login: z.string() }).nullable(),
  head: z.object({ ref: z.string(), sha: objectId, repo: z.object({ full_name: z.string() }).nullable() }),
  base: z.object({ ref: z.string(), repo: z.object({ full_name: z.string() }) }),
});
const comments = z.array(z.object({ id: z.int(), body: z.string().nullable() }));
const permission = z.object({ permission: z.string() });

function requestOf(there: z.output<typeof pull>): RequestThere {
  const { number, state, draft, merged_at: mergedAt, title, html_url: url, user, head, base } = there;
  return {
    number,
    state: mergedAt !== null ? 'merged' : state,
    draft,
    title,
    url,
    author: { id: user?.id ?? 0, name: user?.login ?? '' },
    branch: head.ref,
    head: head.sha,
    fork: head.repo?.full_name.toLowerCase() !== base.repo.full_name.toLowerCase(),
    base: base.ref,
  };
}

async function listed(api: ForgeApi, path: string): Promise<RequestThere[]> {
  const found: RequestThere[] = [];
  for await (const page of api.pages(path))
    for (const json of z.array(z.unknown()).parse(page)) {
      const read = pull.safeParse(json);
      // One that is strange keeps none of the others out.
      if (read.success) found.push(requestOf(read.data));
    }
  return found;
}

/** https://docs.github.com/rest/pulls; comments are those of the issue that each pull request is. */
export const githubRequests: ForgeRequests = {
  refOf: (number) => `refs/pull/${number}/head`,
  async find(api: ForgeApi, repository, number) {
    const json = await api.find(`/repos/${repository}/pulls/${number}`);
    return json === null ? null : requestOf(pull.parse(json));
  },
  async open(api, repository) {
    return await listed(api, `/repos/${repository}/pulls?state=open&sort=updated&direction=desc&per_page=100`);
  },
  async ofBranch(api, repository, branch) {
    const head = `${repository.slice(0, repository.indexOf('/'))}:${branch}`;
    const query = new URLSearchParams({ state: 'all', head, per_page: '100' });
    const found = await listed(api, `/repos/${repository}/pulls?${query.toString()}`);
    // An old server that does not know the filter answers with all.
    return openOrLast(found.filter((one) => one.branch === branch && !one.fork));
  },
  async make(api, repository, { branch, base, title, body }) {
    const wish = { head: branch, base, title, body, maintainer_can_modify: false };
    return requestOf(pull.parse((await api.call('POST', `/repos/${repository}/pulls`, wish)).json));
  },
  async describe(api, repository, number, { title, body }) {
    await api.call('PATCH', `/repos/${repository}/pulls/${number}`, { title, body });
  },
  async close(api, repository, number) {
    await api.call('PATCH', `/repos/${repository}/pulls/${number}`, { state: 'closed' });
  },
  async mayWrite(api, repository, { name }) {
    if (name === '') return false;
    const json = await api.find(`/repos/${repository}/collaborators/${encodeURIComponent(name)}/permission`);
    // Of a role of its own it says what that comes to; maintain counts as write.
    return json !== null && ['admin', 'write'].includes(permission.parse(json).permission);
  },
  async findComment(api, repository, number, words) {
    for await (const page of api.pages(`/repos/${repository}/issues/${number}/comments?per_page=100`)) {
      const found = comments.parse(page).find(({ body }) => body?.includes(words) === true);
      if (found !== undefined) return String(found.id);
    }
    return null;
  },
  async addComment(api, repository, number, text) {
    const { json } = await api.call('POST', `/repos/${repository}/issues/${number}/comments`, { body: text });
    return String(z.object({ id: z.int() }).parse(json).id);
  },
  changeComment: (api, repository, _, id, text) =>
    api.change('PATCH', `/repos/${repository}/issues/comments/${id}`, { body: text }),
};
