// Bad input on every route of the API document, on both sockets and on the git endpoint. The promise: an answer, never a 5xx,
// never a hang, never a crash, and memory that stays bounded. `--long` tries everything, the default a sample of under a minute.
import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { WebSocket } from 'ws';
import { startHostileServer, twoTeams } from './server.mjs';

const long = process.argv.includes('--long');
/** For the routes, however long the rest took on a busy machine. */
const budgetMs = long ? 15 * 60_000 : 20_000;
let started = Date.now();
let seed = Number(process.env.SEED ?? 20_261_121);
const random = () => (seed = (seed * 1_103_515_245 + 12_345) & 0x7fff_ffff) / 0x7fff_ffff;
const pick = (list) => list[Math.floor(random() * list.length)];
const shuffled = (list) =>
  list
    .map((each) => [random(), each])
    .sort(([a], [b]) => a - b)
    .map(([, each]) => each);

const deep = (depth, open, close, inner = '') => open.repeat(depth) + inner + close.repeat(depth);
const nul = 'a\u0000b';
/** JSON texts that stand where a value should. */
const values = [
  'null',
  'true',
  '0',
  '-1',
  '1.5',
  '1e300',
  '-1e300',
  '9007199254740993',
  '99999999999999999999999',
  '""',
  '" "',
  '[]',
  '{}',
  '[null]',
  '[[]]',
  '{"__proto__":{"x":1}}',
  '{"constructor":{"prototype":{}}}',
  JSON.stringify(nul),
  '"\\ud800"',
  '"\\udfff x"',
  '"../../etc/passwd"',
  '".git/config"',
  '"GIT~1/config"',
  '"a\\nb"',
  '"a\\r\\nX-Injected: 1"',
  '"--upload-pack=touch /tmp/x"',
  '"-x"',
  '"$(id)"',
  '"`id`"',
  '"\'; drop table tasks; --"',
  '"%00"',
  '"\\u202e"',
  JSON.stringify('x'.repeat(100_000)),
  deep(5000, '[', ']'),
  deep(5000, '{"a":', '}', '1'),
  '"file:///etc/passwd"',
  '"http://169.254.169.254/"',
  '"ssh://-oProxyCommand=x/"',
  '"9999-99-99T99:99:99Z"',
  '"0001-01-01T00:00:00Z"',
  '{"$data":"$data"}',
  '"*"',
  '">=1.0.0 ||"',
  JSON.stringify(Array(2000).fill('x')),
];
const bodies = [
  '',
  '{',
  'nul',
  '[]',
  '"x"',
  '1',
  'null',
  '{"a":1,"a":2}',
  '\u0000',
  '\ufeff{}',
  '{"unknown":1}',
  deep(200_000, '[', ']'),
  deep(100_000, '{"a":', '}', '1'),
  Buffer.from([0xff, 0xfe, 0xfd]),
  `{"x":"${'y'.repeat(5 * 1024 * 1024)}"}`,
];
const contentTypes = [
  'text/plain',
  'application/xml',
  'application/x-www-form-urlencoded',
  'multipart/form-data',
  'application/octet-stream',
  'application/json; charset=utf-16',
  ';;;',
  'application/gzip',
  'application/x-git-receive-pack-request',
];
const segments = [
  '%00',
  '..%2f..%2fetc',
  '%ff',
  'a%0ab',
  '-1',
  '1e300',
  '0',
  '99999999999999999999',
  "x'--",
  'x'.repeat(290),
  '%f0%9f%92%a9',
  '__proto__',
  'task_zzzzzzzzzzzzzzzzzzzzzzzzzz',
];
const words = [
  '',
  '%00',
  'x',
  '-1',
  '1e300',
  '%ff',
  '0',
  'a%0ab',
  '99999999999999999999',
  'x'.repeat(600),
  'eyJhIjoxfQ',
  'bnVsbA',
  'W10',
  'eyJhdCI6ImEiLCJpZCI6Ilx1MDAwMCJ9',
];
const headersToTry = [
  { 'idempotency-key': 'x'.repeat(5000) },
  { 'idempotency-key': '' },
  { 'idempotency-key': "k'\\;--" },
  { 'idempotency-key': '\u00ff\u00fe' },
  { 'if-match': '*' },
  { 'if-match': 'W/' },
  { 'if-match': '"x"'.repeat(500) },
  { authorization: 'Bearer ' },
  { authorization: `Bearer ${'x'.repeat(10_000)}` },
  { authorization: 'Bearer e30.e30.e30' },
  { authorization: 'Basic !!!' },
  { authorization: 'Bearer mst_\u00ff' },
  { traceparent: 'x' },
  { accept: 'text/x' },
  { 'content-length': '5' },
  { 'content-encoding': 'gzip' },
  { 'x-forwarded-for': nul.replace('\u0000', ' ') },
];

const failures = [];
let sent = 0;
let slowest = 0;

const server = await startHostileServer();
async function attack(method, path, body, options, what) {
  const before = Date.now();
  sent++;
  try {
    const answer = await server.call(method, path, body, options);
    slowest = Math.max(slowest, Date.now() - before);
    if (answer.status >= 500)
      failures.push(`${answer.status} ${method} ${path} (${what}): ${answer.text.slice(0, 300)}`);
    else if (answer.status >= 400 && answer.json?.code === undefined && path.startsWith('/api/'))
      failures.push(`${answer.status} without a problem: ${method} ${path} (${what}): ${answer.text.slice(0, 200)}`);
    return answer;
  } catch (error) {
    const cause = error.cause?.code ?? error.name;
    // Headers that fetch itself refuses never left this machine; a body over the limit may be cut off while it is sent.
    if (
      !/ERR_INVALID|TypeError|UND_ERR_INVALID/.test(String(cause)) &&
      !['EPIPE', 'ECONNRESET', 'UND_ERR_SOCKET', 'UND_ERR_REQ_CONTENT_LENGTH_MISMATCH'].includes(cause)
    )
      failures.push(`no answer: ${method} ${path} (${what}): ${error.message} ${cause}`);
    return null;
  }
}

/** A body that the schema would take, as far as this simple reader understands it. */
function example(schema, document, known, name = '', depth = 0) {
  if (schema === undefined || depth > 6) return 'x';
  if (schema.$ref !== undefined)
    return example(document.components.schemas[schema.$ref.split('/').at(-1)], document, known, name, depth + 1);
  if (known[name] !== undefined) return known[name];
  if (schema.const !== undefined) return schema.const;
  if (schema.default !== undefined) return schema.default;
  if (schema.enum !== undefined) return schema.enum[0];
  const variant = schema.anyOf ?? schema.oneOf ?? schema.allOf;
  if (variant !== undefined) return example(variant[0], document, known, name, depth + 1);
  switch (schema.type) {
    case 'object':
      return Object.fromEntries(
        Object.entries(schema.properties ?? {})
          .filter(([key]) => (schema.required ?? []).includes(key) || depth === 0)
          .map(([key, each]) => [key, example(each, document, known, key, depth + 1)]),
      );
    case 'array':
      return [example(schema.items, document, known, name.replace(/s$/, ''), depth + 1)];
    case 'integer':
    case 'number':
      return Math.max(1, schema.minimum ?? 1);
    case 'boolean':
      return true;
    default:
      return 'x'.repeat(Math.max(1, schema.minLength ?? 1));
  }
}

function* places(value, at = []) {
  yield at;
  if (value !== null && typeof value === 'object')
    for (const key of Object.keys(value)) yield* places(value[key], [...at, key]);
}
const mark = '\u0001here\u0001';
function withValue(value, at, text) {
  const copy = structuredClone(value);
  if (at.length === 0) return text;
  let node = copy;
  for (const key of at.slice(0, -1)) node = node[key];
  node[at.at(-1)] = mark;
  return JSON.stringify(copy).replace(JSON.stringify(mark), () => text);
}

async function routes(mine) {
  const document = (await server.call('GET', '/api/docs-json')).json;
  const cases = [];
  for (const [path, methods] of Object.entries(document.paths)) {
    for (const [name, operation] of Object.entries(methods)) {
      const method = name.toUpperCase();
      if (/auth\/(logout|password)/.test(path)) continue; // would end our own session
      const token = /runtime|attempts|submissions$/.test(path) && method === 'POST' ? mine.agentToken : mine.token;
      const fill = (replace = {}) =>
        path.replace(
          /\{(\w+)\}/g,
          (_, parameter) =>
            replace[parameter] ??
            {
              projectId: mine.projectId,
              taskId: mine.taskId,
              instanceId: mine.instanceId,
              fence: mine.fence,
              agent: mine.agent,
              version: '1.0.0',
              capability: 'code.change',
              type: 'issue.opened',
              name: 'explorer',
              tree: mine.head ?? 'a'.repeat(40),
              verificationId: mine.verificationId,
            }[parameter] ??
            `${{ keyId: 'key', userId: 'user', submissionId: 'sub', landingId: 'land' }[parameter] ?? 'x'}_01jd9x0m4ve2tbk6x3h2v4q8zr`,
        );
      const add = (what, url, body, headers = {}) => cases.push({ what, method, url, body, token, headers });
      for (const parameter of path.matchAll(/\{(\w+)\}/g))
        for (const each of segments)
          add(
            `${parameter[1]}=${each.slice(0, 30)}`,
            fill({ [parameter[1]]: each }),
            method === 'GET' || method === 'DELETE' ? undefined : '{}',
          );
      for (const key of [
        'cursor',
        'limit',
        'state',
        'projectId',
        'type',
        'after',
        'q',
        'agent',
        'purpose',
        'unknown',
        'cursor[]',
        '__proto__',
      ])
        for (const word of words)
          add(
            `?${key}=${word.slice(0, 20)}`,
            `${fill()}?${key}=${word}`,
            method === 'GET' || method === 'DELETE' ? undefined : '{}',
          );
      for (const header of headersToTry)
        add(
          `header ${Object.keys(header)[0]}`,
          fill(),
          method === 'GET' || method === 'DELETE' ? undefined : '{}',
          header,
        );
      // Nothing that would take away the ground for the rest.
      if (method === 'DELETE' || method === 'GET') continue;
      for (const body of bodies) add(`body ${String(body).slice(0, 20)}`, fill(), body);
      for (const type of contentTypes) add(`type ${type}`, fill(), '{"a":1}', { 'content-type': type });
      const schema = operation.requestBody?.content?.['application/json']?.schema;
      if (schema === undefined) continue;
      const good = example(schema, document, {
        projectId: mine.projectId,
        taskId: mine.taskId,
        fence: mine.fence,
        capability: 'code.change',
        capabilities: ['code.change'],
        base: mine.head ?? 'a'.repeat(40),
        agent: mine.agent,
        path: 'a.txt',
        slug: undefined,
        expiresAt: '2030-01-01T00:00:00Z',
      });
      for (const at of places(good))
        for (const value of values) add(`${at.join('.')}=${value.slice(0, 30)}`, fill(), withValue(good, at, value));
    }
  }
  const chosen = shuffled(cases);
  const until = Date.now() + budgetMs;
  let next = 0;
  const lane = async () => {
    while (next < chosen.length && Date.now() < until && failures.length < 50 && server.alive()) {
      const { what, method, url, body, token, headers } = chosen[next++];
      // Idempotency keys are part of the attack only where they are named.
      await attack(method, url, body, { token, headers }, what);
    }
  };
  await Promise.all(Array.from({ length: 4 }, lane));
  return `${next} of ${cases.length} requests`;
}

async function sockets(mine) {
  const talk = (path, token, frames, opening = {}) =>
    new Promise((done) => {
      const socket = new WebSocket(server.url.replace('http', 'ws') + path, {
        headers: { ...(token === null ? {} : { authorization: `Bearer ${token}` }), ...opening },
      });
      const heard = [];
      const enough = setTimeout(() => socket.terminate(), 1500);
      socket.on('message', (data) => heard.push(String(data)));
      socket.on('unexpected-response', (_, response) => {
        if (response.statusCode >= 500) failures.push(`${response.statusCode} on the upgrade of ${path}`);
        socket.terminate();
      });
      socket.on('error', () => undefined);
      socket.on('open', () => frames.forEach((frame) => socket.send(frame)));
      socket.on('close', (code) => {
        clearTimeout(enough);
        if (code === 1011) failures.push(`${path} closed with 1011 after ${String(frames).slice(0, 100)}`);
        for (const text of heard)
          for (const found of text.matchAll(/"status":(5\d\d)/g))
            failures.push(
              `${found[1]} on ${path} after ${frames.map((each) => String(each).slice(0, 400)).join(' | ')}`,
            );
        done(heard);
      });
      sent += frames.length;
    });
  const hello = JSON.stringify([
    { type: 'hello', seq: 1, protocol: 1, agent: mine.agent, capabilities: ['code.change'] },
  ]);
  const held = { taskId: mine.taskId, fence: mine.fence };
  const verb = (type, more) => JSON.stringify([{ type, seq: 2, ...held, ...more }]);
  const frames = [
    '',
    '[]',
    '{}',
    'null',
    '[null]',
    '[[]]',
    '[1,2,3]',
    '\u0000',
    deep(100_000, '[', ']'),
    `[{"type":"checkpoint","seq":1,"taskId":"${mine.taskId}","fence":${mine.fence},"state":${deep(100_000, '[', ']')}}]`,
    `[{"type":"complete","seq":1,"taskId":"${mine.taskId}","fence":1,"output":${deep(50_000, '{"a":', '}', '1')}}]`,
    Buffer.from([0xff, 0x00, 0xfe]),
    JSON.stringify(Array(1001).fill({ type: 'credit', seq: 1, count: 1 })),
    JSON.stringify([{ type: 'hello', seq: 1e300, protocol: 1 }]),
    verb('log', { lines: [nul, '\ud800'] }),
    verb('progress', { message: nul, ratio: 2 }),
    verb('progress', { message: nul }),
    verb('checkpoint', { state: { [nul]: nul } }),
    verb('cost', { key: nul, usd: 1 }),
    verb('cost', { key: 'k', usd: 1e308 }),
    verb('complete', { output: nul, fence: 1e300 }),
    verb('fail', { error: nul, fence: -1 }),
    verb('release', { reason: '\udfff', fence: 0.5 }),
    verb('complete', { output: nul, fence: 2 ** 53 - 1 }),
    verb('fail', { error: 'x', fence: -(2 ** 53) + 1 }),
    JSON.stringify([{ type: 'heartbeat', seq: 3, held: [{ taskId: mine.taskId, fence: 9007199254740991 }] }]),
    JSON.stringify([{ type: 'hello', seq: 1, protocol: 1, agent: nul, capabilities: ['code.change'] }]),
    JSON.stringify([
      {
        type: 'hello',
        seq: 1,
        protocol: 1,
        agent: mine.agent,
        name: nul,
        labels: { [nul]: nul },
        capabilities: ['code.change'],
      },
    ]),
    JSON.stringify([
      { type: 'hello', seq: 1, protocol: 1, agent: mine.agent, version: '>=<!!', capabilities: ['muster.verify'] },
    ]),
    'x'.repeat(5 * 1024 * 1024),
  ];
  const conversations = frames.flatMap((frame) => [
    ['/api/runtime/connect', mine.agentToken, [frame]],
    ['/api/runtime/connect', mine.agentToken, [hello, frame]],
  ]);
  const subscriptions = [
    '',
    '{}',
    '[]',
    'null',
    deep(100_000, '[', ']'),
    '{"type":"subscribe","after":-1}',
    '{"type":"subscribe","after":1e300}',
    '{"type":"subscribe","after":9007199254740991}',
    '{"type":"subscribe","types":["\\u0000"]}',
    '{"type":"subscribe","types":["*"]}',
    '{"type":"subscribe","projectId":"proj_01jd9x0m4ve2tbk6x3h2v4q8zr"}',
    '{"type":"subscribe","verificationId":"ver_01jd9x0m4ve2tbk6x3h2v4q8zr"}',
    '{"type":"subscribe","verificationId":"ver_01jd9x0m4ve2tbk6x3h2v4q8zr","after":9007199254740991}',
    Buffer.from([0]),
    'x'.repeat(5 * 1024 * 1024),
  ];
  conversations.push(
    ...subscriptions.map((each) => ['/api/stream', mine.token, [each]]),
    ...subscriptions.map((each) => ['/api/verifications/logs', mine.token, [each]]),
    ['/api/stream', mine.token, ['{"type":"subscribe"}', '{"type":"subscribe"}']],
    ['/api/stream', null, ['x']],
    ['/api/nothing', mine.token, ['x']],
    ['/api/stream', mine.token, ['x'], { 'sec-websocket-protocol': 'x,y' }],
  );
  const waiting = [...conversations];
  const lane = async () => {
    for (let each = waiting.shift(); each !== undefined && server.alive(); each = waiting.shift()) {
      await talk(...each);
      if (!server.alive()) failures.push(`the server ended after ${String(each[2]).slice(0, 200)}`);
    }
  };
  await Promise.all(Array.from({ length: 10 }, lane));
  return `${conversations.length} conversations`;
}

/** What no HTTP library would send. */
const rawTexts = (mine) => [
  'GET / HTTP/1.1\r\n\r\n',
  'GET /api/tasks HTTP/9.9\r\nHost: x\r\n\r\n',
  '\u0000\u0000\u0000\r\n\r\n',
  'POST /api/tasks HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n',
  'POST /api/tasks HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
  'GET /%zz HTTP/1.1\r\nHost: x\r\n\r\n',
  `GET /${'a'.repeat(20_000)} HTTP/1.1\r\nHost: x\r\n\r\n`,
  `GET /api/tasks HTTP/1.1\r\nHost: x\r\nX: ${'a'.repeat(30_000)}\r\n\r\n`,
  'GET /api/stream HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n',
  `GET /api/stream HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${mine.token}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: x\r\nSec-WebSocket-Version: 99\r\n\r\n`,
  `GET /api/stream HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${mine.token}\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n`,
  'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n',
  'OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n',
  'TRACE /api/tasks HTTP/1.1\r\nHost: x\r\n\r\n',
];
async function raw(mine) {
  for (const text of rawTexts(mine)) {
    await new Promise((done) => {
      const socket = connect(server.port, '127.0.0.1', () => socket.write(text));
      socket.setTimeout(1500, () => socket.destroy());
      socket.on('data', (data) => {
        const status = Number(/^HTTP\/1\.1 (\d+)/.exec(String(data))?.[1]);
        if (status >= 500 && status !== 505)
          failures.push(`${status} after the raw text ${JSON.stringify(text.slice(0, 120))}`);
        socket.destroy();
      });
      socket.on('error', () => undefined);
      socket.on('close', done);
      sent++;
    });
  }
  return `${rawTexts(mine).length} raw texts`;
}

async function git(mine) {
  const basic = (secret) => ({ authorization: `Basic ${Buffer.from(`x:${secret}`).toString('base64')}` });
  const at = `/git/${mine.projectId}.git`;
  const upload = 'application/x-git-upload-pack-request';
  const receive = 'application/x-git-receive-pack-request';
  const zeros = '0'.repeat(40);
  const line = (text) => (text.length + 4).toString(16).padStart(4, '0') + text;
  const push = (ref) =>
    `${line(`${zeros} ${'a'.repeat(40)} ${ref}\0 report-status push-options\n`)}0000${line('task=x')}0000`;
  const attempts = [
    ['GET', `${at}/info/refs`],
    ['GET', `${at}/info/refs?service=x`],
    ['GET', `${at}/info/refs?service=git-upload-pack%00`],
    ['GET', `${at}/info/refs?service=git-upload-pack&service=git-receive-pack`],
    ['GET', `${at}/HEAD`],
    ['GET', `${at}/../../config`],
    ['GET', `${at}/objects/info/packs`],
    ['GET', '/git/..%2f..%2fetc.git/info/refs?service=git-upload-pack'],
    ['GET', '/git/x.git/info/refs?service=git-upload-pack'],
    ['POST', `${at}/git-upload-pack`, 'x', 'text/plain'],
    ['POST', `${at}/git-upload-pack`, '', upload],
    ['POST', `${at}/git-upload-pack`, 'zzzz', upload],
    ['POST', `${at}/git-upload-pack`, `${line(`want ${'a'.repeat(40)}\n`)}0000${line('done\n')}`, upload],
    ['POST', `${at}/git-upload-pack`, Buffer.from([0, 1, 2, 255]), upload],
    ['POST', `${at}/git-receive-pack`, '', receive],
    ['POST', `${at}/git-receive-pack`, 'ffff', receive],
    ['POST', `${at}/git-receive-pack`, push('refs/heads/main'), receive],
    ['POST', `${at}/git-receive-pack`, push('refs/for/main'), receive],
    ['POST', `${at}/git-receive-pack`, push('refs/for/--upload-pack=x'), receive],
    ['POST', `${at}/git-receive-pack`, push('refs/muster/submissions/x'), receive],
    ['POST', `${at}/git-receive-pack`, push('refs/notes/muster'), receive],
    ['POST', `${at}/git-receive-pack`, push('../../x'), receive],
    ['POST', `${at}/git-receive-pack`, `${push('refs/for/main')}PACK\0\0\0\x02\xff\xff\xff\xff`, receive],
  ];
  for (const [method, path, body, type] of attempts)
    for (const headers of [
      basic(mine.token),
      { ...basic(mine.token), 'git-protocol': 'version=2' },
      { ...basic(mine.token), 'content-encoding': 'gzip' },
      {},
    ])
      await attack(
        method,
        path,
        body,
        { headers: { ...headers, ...(type === undefined ? {} : { 'content-type': type }) } },
        'git',
      );
  return `${attempts.length * 4} git requests`;
}

async function uploads(mine) {
  const block = (name, { size = '00000000001', type = '0', link = '' } = {}) => {
    const head = Buffer.alloc(512);
    head.write(name, 0, 100, 'latin1');
    head.write('0000644\0', 100);
    head.write('0000000\0', 108);
    head.write('0000000\0', 116);
    head.write(`${size}\0`, 124);
    head.write('00000000000\0', 136);
    head.write('        ', 148);
    head.write(type, 156);
    head.write(link, 157);
    head.write('ustar\0' + '00', 257);
    let sum = 0;
    for (const byte of head) sum += byte;
    head.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148);
    return head;
  };
  const file = Buffer.concat([Buffer.from('x'), Buffer.alloc(511)]);
  const end = Buffer.alloc(1024);
  const archives = [
    Buffer.alloc(0),
    Buffer.from('not an archive'),
    Buffer.from([0x1f, 0x8b, 8, 0, 0, 0]),
    Buffer.from([0x1f, 0x8b, ...Array(200).fill(7)]),
    Buffer.alloc(10_240),
    Buffer.concat([block('../out'), file, end]),
    Buffer.concat([block('/abs'), file, end]),
    Buffer.concat([block('.git/config'), file, end]),
    Buffer.concat([block('a/.GIT/config'), file, end]),
    Buffer.concat([block('git~1/x'), file, end]),
    Buffer.concat([block('a\nb'), file, end]),
    Buffer.concat([block('-rf'), file, end]),
    Buffer.concat([block('a'), file, block('a'), file, end]),
    Buffer.concat([block('a'), file, block('a/b'), file, end]),
    Buffer.concat([block('l', { type: '2', size: '00000000000', link: '/etc/passwd' }), end]),
    Buffer.concat([block('h', { type: '1', size: '00000000000', link: 'a' }), end]),
    Buffer.concat([block('d', { type: '3', size: '00000000000' }), end]),
    block('cut', { size: '00000001000' }),
    Buffer.concat([block('huge', { size: '77777777777' }), file]),
    Buffer.concat([block('\xff\xfe'), file, end]),
    Buffer.concat([block('muster.yaml'), file, end]),
  ];
  let n = 0;
  for (const archive of archives)
    for (const type of ['application/octet-stream', 'application/zip'])
      await attack(
        'POST',
        `/api/projects/import?name=up${n++}`,
        archive,
        { token: mine.token, headers: { 'content-type': type } },
        `archive ${archives.indexOf(archive)}`,
      );
  const sources = [
    'a: [',
    'a: &a [*a]',
    '&a [&b [*a, *b]]',
    '- - -',
    '!!js/function x',
    'a: !!binary "%%"',
    '\u0000',
    '{',
    '? ? ?',
    `a: ${'['.repeat(5000)}`,
    `${'- '.repeat(5000)}x`,
    'x: &x [1]\ny: [*x,*x,*x]',
    `a: &a ["x","x"]\n${'bcdefghijklmnop'
      .split('')
      .map(
        (c, i, all) =>
          `${c}: &${c} [*${i === 0 ? 'a' : all[i - 1]},*${i === 0 ? 'a' : all[i - 1]},*${i === 0 ? 'a' : all[i - 1]},*${i === 0 ? 'a' : all[i - 1]}]`,
      )
      .join('\n')}`,
  ];
  for (const source of sources) {
    await attack('POST', '/api/agents', { source }, { token: mine.token }, `yaml ${source.slice(0, 30)}`);
    await attack(
      'POST',
      '/api/agents/import',
      { source: `${source}\n---\n${source}` },
      { token: mine.token },
      `bundle ${source.slice(0, 30)}`,
    );
  }
  return `${archives.length * 2} archives, ${sources.length * 2} definitions`;
}

try {
  const { mine } = await twoTeams(server);
  started = Date.now();
  const before = server.megabytes();
  const told = [];
  for (const part of [uploads, git, raw, sockets, routes]) {
    if (!server.alive()) break;
    told.push(await part(mine));
    console.log(`${((Date.now() - started) / 1000).toFixed(0)} s: ${told.at(-1)}`);
  }
  if (!server.alive()) failures.push(`the server ended:\n${server.printed().slice(-3000)}`);
  else {
    await sleep(500);
    const ready = await server.call('GET', '/readyz');
    if (ready.status !== 200) failures.push(`/readyz answers ${ready.status} afterwards`);
    const after = server.megabytes();
    if (after !== null && after > 1500) failures.push(`the server holds ${after.toFixed(0)} MiB`);
    console.log(
      `${sent} attacks, slowest answer ${slowest} ms, memory ${before?.toFixed(0)} → ${after?.toFixed(0)} MiB`,
    );
  }
} catch (error) {
  failures.push(`${error.stack}\n${server.printed().slice(-2000)}`);
} finally {
  await server.stop();
}
for (const failure of new Set(failures)) console.error(`✗ ${failure}`);
console.log(failures.length === 0 ? 'Nothing broke.' : `${failures.length} failures.`);
process.exitCode = failures.length === 0 ? 0 : 1;
