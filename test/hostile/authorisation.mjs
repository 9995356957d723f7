// Who may do what to whose. Every route of the API document is tried without a credential, with broken and revoked ones, by a viewer,
// by an agent of another project, and by another team with our ids in path, query and body. Somebody else's id must look like none.
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { WebSocket } from 'ws';
import { definition, must, startHostileServer, twoTeams } from './server.mjs';

const failures = [];
let asked = 0;
const server = await startHostileServer();
const expect = (holds, what) => {
  asked++;
  if (!holds) failures.push(what);
};
const nobody = (prefix) => `${prefix}_01jd9x0m4ve2tbk6x3h2v4q8zr`;
const plain = (text) => text.replace(/"(traceId|instance)":"[^"]*"/g, '');

async function routes(mine, theirs, credentials) {
  const document = (await server.call('GET', '/api/docs-json')).json;
  const open = new Set([
    'POST /api/auth/login',
    'POST /api/auth/refresh',
    'POST /api/auth/logout',
    'GET /api/provenance/keys',
    // Signed with a secret of its own instead.
    'POST /api/forges/{forgeId}/webhook',
  ]);
  for (const [path, methods] of Object.entries(document.paths)) {
    for (const name of Object.keys(methods)) {
      const method = name.toUpperCase();
      const where = `${method} ${path}`;
      const filled = (ids) =>
        path.replace(
          /\{(\w+)\}/g,
          (_, parameter) =>
            ids[parameter] ??
            {
              agent: 'theirs-worker',
              version: '1.0.0',
              capability: 'code.change',
              type: 'issue.opened',
              name: 'explorer',
              tree: 'a'.repeat(40),
              fence: '1',
            }[parameter],
        );
      const body = method === 'GET' || method === 'DELETE' ? undefined : {};
      if (!open.has(where)) {
        for (const [what, headers] of Object.entries(credentials)) {
          const { status } = await server.call(method, filled(mine), body, { headers });
          expect(status === 401, `${where} with ${what} answers ${status} instead of 401`);
        }
      }
      // Ids that exist in the other team, and ids that nobody has, must be answered alike.
      const named = [...path.matchAll(/\{(\w+Id)\}/g)].map(([, parameter]) => parameter);
      if (named.length === 0 || open.has(where)) continue;
      const prefixes = {
        projectId: 'proj',
        taskId: 'task',
        instanceId: 'inst',
        keyId: 'key',
        userId: 'user',
        verificationId: 'ver',
        submissionId: 'sub',
        landingId: 'land',
        limitId: 'lim',
        incidentId: 'inc',
        setId: 'set',
      };
      const none = Object.fromEntries(
        Object.entries(prefixes).map(([parameter, prefix]) => [parameter, nobody(prefix)]),
      );
      for (const [who, token] of [
        ['the owner', theirs.token],
        ['an agent', theirs.agentToken],
      ]) {
        const [foreign, missing] = [
          await server.call(method, filled({ ...none, ...pickIds(mine) }), body, { token }),
          await server.call(method, filled(none), body, { token }),
        ];
        expect(
          foreign.status === 404 || foreign.status === 403,
          `${where} by ${who} of another team answers ${foreign.status}: ${foreign.text.slice(0, 200)}`,
        );
        expect(
          foreign.status === missing.status && plain(foreign.text) === plain(missing.text),
          `${where} by ${who} of another team tells a foreign id from none: ${foreign.text.slice(0, 200)} / ${missing.text.slice(0, 200)}`,
        );
      }
    }
  }
}
const pickIds = ({ projectId, taskId, instanceId, keyId, userId, verificationId, submissionId }) => ({
  projectId,
  taskId,
  instanceId,
  keyId,
  userId,
  verificationId,
  submissionId,
});

async function insideBodies(mine, theirs) {
  const as = { token: theirs.token };
  const agent = { token: theirs.agentToken };
  const tries = [
    ['POST', '/api/tasks', { projectId: mine.projectId, capability: 'code.change' }, as],
    ['POST', '/api/tasks', { projectId: theirs.projectId, capability: 'code.change', parentId: mine.taskId }, as],
    ['POST', '/api/keys', { name: 'x', projectId: mine.projectId }, as],
    [
      'POST',
      '/api/users',
      { email: 'x@y.example', password: 'long enough word', role: 'viewer', projectId: mine.projectId },
      as,
    ],
    ['POST', '/api/events/publish', { type: 'issue.opened', projectId: mine.projectId }, as],
    [
      'POST',
      '/api/submissions',
      {
        taskId: mine.taskId,
        fence: mine.fence,
        base: 'a'.repeat(40),
        message: 'x',
        files: [{ path: 'a', content: 'x' }],
      },
      agent,
    ],
    [
      'POST',
      '/api/runtime/instances',
      { agent: 'theirs-worker', capabilities: ['code.change'], resume: mine.instanceId },
      agent,
    ],
    ['GET', `/api/tasks?projectId=${mine.projectId}`, undefined, as],
    ['GET', `/api/events?projectId=${mine.projectId}`, undefined, as],
    ['GET', `/api/submissions?projectId=${mine.projectId}`, undefined, as],
    ['GET', `/api/landings?projectId=${mine.projectId}`, undefined, as],
    ['GET', `/api/tasks?projectId=${theirs.projectId}&projectId=${mine.projectId}`, undefined, as],
    ['POST', `/api/projects/${theirs.projectId}/agents`, { agent: mine.agent, capabilities: ['code.change'] }, as],
    ['PUT', `/api/projects/${theirs.projectId}/members/${mine.userId}`, { role: 'owner' }, as],
  ];
  for (const [method, path, body, options] of tries) {
    const { status, text } = await server.call(method, path, body, options);
    expect(
      status === 404 || status === 403 || status === 400 || status === 422,
      `${method} ${path} ${JSON.stringify(body)} of another team answers ${status}: ${text.slice(0, 200)}`,
    );
  }
  const beat = await server.call(
    'POST',
    `/api/runtime/instances/${theirs.instanceId}/heartbeat`,
    { held: [{ taskId: mine.taskId, fence: mine.fence }] },
    agent,
  );
  const { json } = await server.call('GET', `/api/tasks/${mine.taskId}`, undefined, { token: mine.token });
  expect(
    beat.status < 500 && (beat.status >= 400 || beat.json.stale?.length === 1),
    `a heartbeat for another team's lease answers ${beat.text.slice(0, 200)}`,
  );
  expect(json.state === 'running', `the task of this team is ${json.state} after others had a hand in it`);
  const lists = [
    '/api/tasks',
    '/api/projects',
    '/api/instances',
    '/api/agents',
    '/api/submissions',
    '/api/landings',
    '/api/events',
    '/api/users',
    '/api/keys',
    '/api/agents/search?q=mine',
  ];
  for (const path of lists) {
    const { text } = await server.call('GET', path, undefined, as);
    for (const id of [...Object.values(pickIds(mine)), 'mine-worker'])
      expect(!text.includes(id), `${path} shows ${id} to another team`);
  }
}

async function roles(mine) {
  const as = { token: mine.token };
  const viewer = { token: mine.viewer };
  for (const [method, path, body] of [
    ['POST', '/api/tasks', { projectId: mine.projectId, capability: 'code.change' }],
    ['POST', '/api/projects', { name: 'x' }],
    ['DELETE', `/api/projects/${mine.projectId}`],
    ['PATCH', `/api/projects/${mine.projectId}`, { name: 'x' }],
    ['POST', '/api/agents', { definition: definition('viewed') }],
    ['POST', '/api/keys', { name: 'x', role: 'owner' }],
    ['GET', '/api/keys'],
    ['POST', '/api/users', { email: 'a@b.example', password: 'long enough word', role: 'owner' }],
    ['PUT', `/api/users/${mine.userId}/role`, { role: 'owner' }],
    ['POST', '/api/teams', { name: 'x', slug: 'x', owner: { email: 'q@b.example', password: 'long enough word' } }],
    ['POST', `/api/tasks/${mine.taskId}/cancel`, {}],
    ['POST', `/api/tasks/${mine.taskId}/attempts/${mine.fence}/complete`, {}],
    ['POST', '/api/runtime/instances', { agent: mine.agent, capabilities: ['code.change'] }],
    ['POST', '/api/events/publish', { type: 'issue.opened' }],
    ['POST', `/api/projects/${mine.projectId}/verifications`, {}],
    ['GET', `/api/verifications/${mine.verificationId}/trees/${'a'.repeat(40)}`],
    ['POST', `/api/verifications/${mine.verificationId}/report`, { fence: 1 }],
    ['POST', `/api/verifications/${mine.verificationId}/rerun`, {}],
    ['PUT', `/api/projects/${mine.projectId}/members/${mine.userId}`, { role: 'owner' }],
  ]) {
    const { status, text } = await server.call(method, path, body, viewer);
    expect(status === 403, `a viewer gets ${status} from ${method} ${path}: ${text.slice(0, 150)}`);
  }

  // A key for one project, in the same team.
  const other = await must(server.call('POST', '/api/projects', { name: 'another' }, as));
  const key = await must(server.call('POST', '/api/keys', { name: 'narrow', projectId: other.id }, as));
  const narrow = { token: key.secret };
  for (const [method, path, body] of [
    ['GET', `/api/projects/${mine.projectId}`],
    ['GET', `/api/tasks/${mine.taskId}`],
    ['POST', `/api/tasks/${mine.taskId}/attempts/${mine.fence}/complete`, {}],
    ['POST', `/api/tasks/${mine.taskId}/attempts/${mine.fence}/progress`, { message: 'x' }],
    [
      'POST',
      '/api/submissions',
      {
        taskId: mine.taskId,
        fence: mine.fence,
        base: 'a'.repeat(40),
        message: 'x',
        files: [{ path: 'a', content: 'x' }],
      },
    ],
    ['GET', `/api/projects/${mine.projectId}/audit`],
    ...['', '/checks', '/logs', '/artefacts', '/artefacts/findings.sarif', '/explain', '/sarif'].map((what) => [
      'GET',
      `/api/verifications/${mine.verificationId}${what}`,
    ]),
    ['POST', `/api/verifications/${mine.verificationId}/rerun`, {}],
  ]) {
    const { status, text } = await server.call(method, path, body, narrow);
    expect(
      status === 404 || status === 403,
      `a key of another project gets ${status} from ${method} ${path}: ${text.slice(0, 150)}`,
    );
  }
  for (const path of ['/api/tasks', '/api/projects', '/api/events', '/api/submissions', '/api/landings']) {
    const { text } = await server.call('GET', path, undefined, narrow);
    expect(
      !text.includes(mine.taskId) && !text.includes(mine.projectId),
      `${path} shows more than its project to a key of another one`,
    );
  }

  // Another agent of the same team and project, which does not hold the attempt.
  const second = await must(server.call('POST', '/api/keys', { name: 'second' }, as));
  const liar = { token: second.secret };
  for (const [verb, body] of [
    ['complete', { output: 1 }],
    ['progress', { message: 'x' }],
    ['log', { lines: ['x'] }],
    ['cost', { key: 'k', usd: 1 }],
    ['checkpoint', { state: 1 }],
    ['fail', { error: 'x' }],
    ['release', {}],
  ]) {
    const { status } = await server.call(
      'POST',
      `/api/tasks/${mine.taskId}/attempts/${mine.fence}/${verb}`,
      body,
      liar,
    );
    expect(
      status === 409 || status === 404 || status === 403,
      `an agent may ${verb} an attempt that another one holds: ${status}`,
    );
  }
  const submitted = await server.call(
    'POST',
    '/api/submissions',
    {
      taskId: mine.taskId,
      fence: mine.fence,
      base: mine.head ?? 'a'.repeat(40),
      message: 'x',
      files: [{ path: 'a', content: 'x' }],
    },
    liar,
  );
  expect(
    submitted.status >= 400 && submitted.status < 500,
    `an agent may submit for an attempt that another one holds: ${submitted.status}`,
  );
  const taken = await server.call('POST', `/api/runtime/instances/${mine.instanceId}/claim`, {}, liar);
  expect(taken.status === 404 || taken.status === 403, `an agent may claim as another one's instance: ${taken.status}`);
  for (const verb of ['heartbeat', 'bye']) {
    const { status } = await server.call('POST', `/api/runtime/instances/${mine.instanceId}/${verb}`, {}, liar);
    expect(status === 404 || status === 403, `an agent may say ${verb} for another one's instance: ${status}`);
  }
  expect(
    (await server.call('GET', `/api/tasks/${mine.taskId}`, undefined, as)).json.state === 'running',
    'a liar moved the task',
  );

  // What belongs to the system.
  for (const capability of ['muster.verify', 'muster']) {
    const declared = await server.call(
      'POST',
      '/api/agents',
      { definition: definition(`sly-${capability.length}`, [capability]), publish: true },
      as,
    );
    expect(declared.status >= 400 && declared.status < 500, `an agent may declare ${capability}: ${declared.status}`);
    const asked = await server.call('POST', '/api/tasks', { projectId: mine.projectId, capability }, as);
    expect(asked.status >= 400 && asked.status < 500, `a task may ask for ${capability}: ${asked.status}`);
    const said = await server.call(
      'POST',
      '/api/runtime/instances',
      { agent: mine.agent, capabilities: [capability] },
      { token: mine.agentToken },
    );
    expect(said.status >= 400 && said.status < 500, `an instance may offer ${capability}: ${said.status}`);
  }
  for (const type of [
    'task.succeeded',
    'verification.finished',
    'landing.landed',
    'submission.accepted',
    'muster.anything',
    'agent.published',
    'system.x',
  ]) {
    const { status, text } = await server.call('POST', '/api/events/publish', { type, data: {} }, as);
    if (type !== 'system.x')
      expect(status >= 400 && status < 500, `anybody may publish ${type}: ${status} ${text.slice(0, 100)}`);
  }
  const wide = await server.call(
    'POST',
    '/api/keys',
    { name: 'wide', role: 'owner', permissions: ['system.verify'] },
    as,
  );
  expect(wide.status >= 400 && wide.status < 500, `a key may hold system.verify: ${wide.status}`);
  const ownKeys = await server.call('POST', '/api/keys', { name: 'x', role: 'owner' }, { token: mine.agentToken });
  expect(ownKeys.status === 403, `an agent's key may make keys: ${ownKeys.status}`);

  // Revocation bites at once, on open sockets too.
  const doomed = await must(server.call('POST', '/api/keys', { name: 'doomed' }, as));
  const socket = new WebSocket(`${server.url.replace('http', 'ws')}/api/stream`, {
    headers: { authorization: `Bearer ${doomed.secret}` },
  });
  await new Promise((done) => socket.once('open', done).once('error', done));
  const closed = new Promise((done) => {
    socket.once('close', done);
    setTimeout(() => done('still open'), 5000);
  });
  await must(server.call('DELETE', `/api/keys/${doomed.id}`, undefined, as));
  expect(
    (await server.call('GET', '/api/tasks', undefined, { token: doomed.secret })).status === 401,
    'a revoked key still works',
  );
  expect((await closed) === 4401, `the socket of a revoked key was not closed: ${await closed}`);
  return doomed.secret;
}

async function sockets(mine, theirs) {
  const first = (path, token, message) =>
    new Promise((done) => {
      const socket = new WebSocket(
        server.url.replace('http', 'ws') + path,
        token === null ? {} : { headers: { authorization: `Bearer ${token}` } },
      );
      const late = setTimeout(() => socket.terminate(), 4000);
      socket.on('open', () => socket.send(JSON.stringify(message)));
      socket.on('message', (data) => {
        done(String(data));
        socket.close();
      });
      socket.on('unexpected-response', (_, response) => {
        done(`HTTP ${response.statusCode}`);
        socket.terminate();
      });
      socket.on('error', () => undefined);
      socket.on('close', (code) => {
        clearTimeout(late);
        done(`closed ${code}`);
      });
    });
  expect((await first('/api/stream', null, {})) === 'HTTP 401', 'the stream opens for anybody');
  expect((await first('/api/runtime/connect', null, [])) === 'HTTP 401', 'the agent socket opens for anybody');
  expect((await first('/api/runtime/connect', mine.viewer, [])) === 'HTTP 403', 'the agent socket opens for a viewer');
  expect(
    /404/.test(await first('/api/stream', theirs.token, { type: 'subscribe', projectId: mine.projectId })),
    'a stream shows another team’s project',
  );
  const log = { type: 'subscribe', verificationId: mine.verificationId };
  expect((await first('/api/verifications/logs', null, log)) === 'HTTP 401', 'logs are told to anybody');
  expect(
    /404/.test(await first('/api/verifications/logs', theirs.token, log)),
    'a log of another team’s verification is told',
  );
  const hello = { type: 'hello', seq: 1, protocol: 1, capabilities: ['code.change'] };
  expect(
    /refused/.test(await first('/api/runtime/connect', theirs.agentToken, [{ ...hello, agent: 'mine-worker' }])),
    'a hello as another team’s agent is welcome',
  );
  expect(
    !(
      await first('/api/runtime/connect', theirs.agentToken, [
        { ...hello, agent: 'theirs-worker', resume: mine.instanceId },
      ])
    ).includes(mine.instanceId),
    'another team’s instance can be resumed',
  );
}

async function git(mine, theirs) {
  const remote = (token, projectId) =>
    `http://x:${encodeURIComponent(token)}@127.0.0.1:${server.port}/git/${projectId}.git`;
  const run = (...args) =>
    promisify(execFile)('git', ['-c', 'credential.helper=', ...args], {
      env: { PATH: process.env.PATH, HOME: '/nonexistent', GIT_TERMINAL_PROMPT: '0', GIT_CONFIG_NOSYSTEM: '1' },
      timeout: 20_000,
    }).then(
      () => 'done',
      (error) => String(error.stderr),
    );
  expect(
    (await run('ls-remote', remote(mine.agentToken, mine.projectId))) === 'done',
    'an agent cannot read its own team’s repository',
  );
  const foreign = await run('ls-remote', remote(theirs.agentToken, mine.projectId));
  const missing = await run('ls-remote', remote(theirs.agentToken, nobody('proj')));
  expect(/not found|404/i.test(foreign), `git fetch with another team's key: ${foreign}`);
  expect(
    foreign.replaceAll(mine.projectId, '') === missing.replaceAll(nobody('proj'), ''),
    `git tells a foreign project from none: ${foreign} / ${missing}`,
  );
  for (const service of ['git-upload-pack', 'git-receive-pack'])
    for (const [who, token, wanted] of [
      ['a key of another team', theirs.agentToken, 404],
      ['nobody', null, 401],
      ['a viewer', mine.viewer, service === 'git-upload-pack' ? 200 : 403],
    ]) {
      const { status } = await server.call(
        'GET',
        `/git/${mine.projectId}.git/info/refs?service=${service}`,
        undefined,
        { token },
      );
      expect(status === wanted, `${service} by ${who} answers ${status} instead of ${wanted}`);
      const post = await server.call('POST', `/git/${mine.projectId}.git/${service}`, '0000', {
        token,
        headers: { 'content-type': `application/x-${service}-request` },
      });
      expect(
        wanted === 200 || post.status === wanted,
        `POST ${service} by ${who} answers ${post.status} instead of ${wanted}`,
      );
    }
}

try {
  const { mine, theirs } = await twoTeams(server);
  await roles(mine);
  const revoked = await must(server.call('POST', '/api/keys', { name: 'revoked' }, { token: mine.token }));
  await must(server.call('DELETE', `/api/keys/${revoked.id}`, undefined, { token: mine.token }));
  const expiring = await must(
    server.call(
      'POST',
      '/api/keys',
      { name: 'expired', expiresAt: new Date(Date.now() + 1500).toISOString() },
      { token: mine.token },
    ),
  );
  await new Promise((done) => setTimeout(done, 1600));
  const [head, body] = mine.token.split('.');
  const unsigned = `${Buffer.from('{"alg":"none","typ":"JWT"}').toString('base64url')}.${body}.`;
  await insideBodies(mine, theirs);
  await sockets(mine, theirs);
  await git(mine, theirs);
  await routes(mine, theirs, {
    'no credential': {},
    'a revoked key': { authorization: `Bearer ${revoked.secret}` },
    'an expired key': { authorization: `Bearer ${expiring.secret}` },
    'an unsigned token': { authorization: `Bearer ${unsigned}` },
    'another signature': { authorization: `Bearer ${head}.${body}.${'A'.repeat(512)}` },
  });
} catch (error) {
  failures.push(`${error.stack}\n${server.printed().slice(-2000)}`);
} finally {
  await server.stop();
}
for (const failure of new Set(failures)) console.error(`✗ ${failure}`);
console.log(
  failures.length === 0
    ? `${asked} questions of who may do what, all answered as they should be.`
    : `${failures.length} of ${asked} answered wrongly.`,
);
process.exitCode = failures.length === 0 ? 0 : 1;
