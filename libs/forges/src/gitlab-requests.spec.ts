import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { ForgeApi } from './domain/forge-api.ts';
import { gitlabRequests } from './domain/gitlab-requests.ts';

/** A merge request as every GitLab since 9 tells it, but for what says that it is a draft. */
const told = {
  id: 9001,
  iid: 17,
  project_id: 731,
  title: 'Round to cents',
  state: 'opened',
  target_branch: 'main',
  source_branch: 'cents',
  author: { id: 12, username: 'ada', name: 'Ada', state: 'active' },
  source_project_id: 731,
  target_project_id: 731,
  sha: 'c'.repeat(40),
  web_url: 'https://gitlab.example/accounts/ledger/merge_requests/17',
};
let answer: object;
let server: Server;
let api: ForgeApi;
beforeAll(async () => {
  server = createServer((_, response) => response.end(JSON.stringify(answer))).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const credentials = { token: () => Promise.resolve('token'), refused: () => false };
  api = new ForgeApi({ name: 'lab', kind: 'gitlab', api: address }, credentials, () => new Date());
});
afterAll(() => {
  server.close();
});

it.each([
  ['of a GitLab before drafts', { work_in_progress: true }, true],
  ['of one that says both', { work_in_progress: true, draft: true }, true],
  ['of one that has dropped the old word', { draft: true }, true],
  ['that is ready, to an old one', { work_in_progress: false }, false],
  ['that is ready, to one that says both', { work_in_progress: false, draft: false }, false],
  ['that is ready, to a new one', { draft: false }, false],
])('a merge request %s is a draft when it says so', async (_, said, draft) => {
  answer = { ...told, ...said };
  expect(await gitlabRequests.find(api, 'accounts/ledger', 17)).toMatchObject({ number: 17, draft, fork: false });
});

it('whose fork is gone is one from a fork, and is not taken for the project’s own', async () => {
  answer = { ...told, source_project_id: null };
  expect(await gitlabRequests.find(api, 'accounts/ledger', 17)).toMatchObject({ fork: true });
});
