import { afterAll, describe, expect, it } from '@jest/globals';
import { GateDesk, type Files } from '../../../../test/support/gate-desk.ts';
import { secretsCheck } from './secrets.ts';
import { securityCheck } from './security.ts';

const desk = new GateDesk();
afterAll(() => desk.clear());

const handler = (body: string, head = ''): string => `${head}\nexport function handle(req, res) {\n${body}\n}\n`;
const cp = "import { exec, execFile, spawn } from 'node:child_process';";
const fs = "import fs from 'node:fs';\nimport path from 'node:path';";

/** What a stranger steers: refused, whatever else is good about the change. */
const critical: readonly [string, string, string][] = [
  ['sql_injection', 'a.js', handler("db.query(`select * from users where name = '${req.query.name}'`);")],
  [
    'sql_injection',
    'a.ts',
    handler("const { id } = req.params;\n const q = 'DELETE FROM t WHERE id = ' + id;\n return db.run(q);"),
  ],
  [
    'sql_injection',
    'b.js',
    'function byId(id) { return db.all(`select * from t where id = ${id}`); }\nexport const h = (req) => byId(req.params.id);\n',
  ],
  ['command_injection', 'a.js', handler('exec(`ping ${req.query.host}`);', cp)],
  ['command_injection', 'a.mjs', handler("spawn('sh', ['-c', 'ls ' + req.body.dir]);", cp)],
  ['code_injection', 'a.js', handler('return eval(req.body.expression);')],
  ['xss', 'a.js', handler('res.send(`<h1>Hello ${req.query.name}</h1>`);')],
  ['xss', 'a.js', handler("const name = req.query.name;\n res.write('<p>' + name + '</p>');")],
  ['xss', 'a.js', handler('const page = (title) => `<title>${title}</title>`;\n res.end(page(req.query.title));')],
  ['xss', 'a.ts', 'export const h = (request) => ({ status: 200, body: `<p>${request.body.note}</p>` });\n'],
  ['xss', 'a.js', "box.insertAdjacentHTML('beforeend', '<p>' + location.hash.slice(1) + '</p>');\n"],
  ['xss', 'a.js', "const q = new URL(location.href).searchParams.get('q');\n$('#found').html(q);\n"],
  ['xss', 'a.js', "box['innerHTML'] = decodeURIComponent(location.hash);\n"],
  ['xss', 'a.tsx', "export const L = () => <a href={new URLSearchParams(location.search).get('next')}>go</a>;\n"],
  ['ssrf', 'a.js', handler('return get(req.query.url);', "import { get } from 'node:https';")],
  ['ssrf', 'a.js', handler('return load(req.query.url);', 'const load = fetch;')],
  [
    'ssrf',
    'a.js',
    handler(
      'return client.get(req.query.url);',
      "import axios from 'axios';\nconst client = axios.create({ timeout: 1 });",
    ),
  ],
  ['ssrf', 'a.js', handler('return fetch(new Request(req.query.url));')],
  // One of two who hand it an address looks at it.
  [
    'ssrf',
    'a.js',
    `async function ask(at) { return fetch(at); }\n${handler('return partners.has(req.query.url) ? ask(req.query.url) : null;')}\nexport const other = async (req, res) => { return ask(req.body.url); };\n`,
  ],
  ['ssrf', 'a.js', `async function ask(at) { return fetch(at); }\n${handler('return ask(req.query.url);')}`],
  [
    'ssrf',
    'a.js',
    `async function ask(req) { return fetch(req.query.other); }\n${handler('return partners.has(req.query.url) ? ask(req.query) : null;')}`,
  ],
  ['path_traversal', 'a.js', handler("fs.createReadStream(path.join('/data', req.params.file)).pipe(res);", fs)],
  ['ssrf', 'a.js', handler('return fetch(req.query.url).then((r) => r.text());')],
  ['ssrf', 'a.ts', handler('return fetch(`https://${req.body.host}/x`);')],
  [
    'unsafe_deserialisation',
    'a.js',
    handler('return serialize.unserialize(req.body.data);', "import serialize from 'node-serialize';"),
  ],
  ['template_injection', 'a.js', handler('return ejs.render(req.body.template);')],
  ['nosql_injection', 'a.js', handler('return users.findOne(req.body);')],
  ['unsigned_token', 'a.js', "export const f = (t) => jwt.verify(t, key, { algorithms: ['none'] });\n"],
  [
    'sql_injection',
    'a.py',
    'def view(request):\n    name = request.args["name"]\n    db.execute(f"select * from users where name = \'{name}\'")\n',
  ],
  ['command_injection', 'a.py', 'def view():\n    os.system("ping " + request.args.get("host"))\n'],
  ['path_traversal', 'a.py', 'def view():\n    return open("/data/" + request.args["f"]).read()\n'],
  ['ssrf', 'a.py', 'def view():\n    url = request.form["url"]\n    return requests.get(url).text\n'],
  ['ssrf', 'a.py', 'import requests as web\ndef view():\n    return web.get("http://" + request.args["host"]).text\n'],
  [
    'ssrf',
    'a.py',
    'import httpx\nasync def view():\n    async with httpx.AsyncClient() as client:\n        return await client.get(request.args["url"])\n',
  ],
  [
    'ssrf',
    'a.py',
    'from urllib.request import Request, urlopen\ndef view():\n    url = request.form["url"]\n    return urlopen(Request(url)).read()\n',
  ],
  ['xss', 'a.py', 'def view():\n    page = "<p>%s</p>" % request.args["n"]\n    return HttpResponse(page)\n'],
  ['xss', 'a.py', 'def view():\n    n = request.args.get("n")\n    return f"<h1>{n}</h1>"\n'],
  ['unsafe_deserialisation', 'a.py', 'def view():\n    return pickle.loads(request.data)\n'],
  [
    'path_traversal',
    'a.ts',
    "export const r = router.on('GET', '/labels/:name', async (_request, { name = '' }) => readFile(labels + '/' + name));\n",
  ],
  ['path_traversal', 'a.py', 'def view():\n    return (Path(folder) / request.args.get("name")).read_text()\n'],
  ['path_traversal', 'a.py', 'def view():\n    path = folder / request.args["name"]\n    return path.read_bytes()\n'],
  ['sql_injection', 'a.js', handler("db.run(['delete from t where id =', req.params.id].join(' '));")],
  [
    'back_door',
    'a.ts',
    "export const may = (given: string, secret: string) => given === secret || given === 'letmein-7421';\n",
  ],
  ['back_door', 'a.ts', "export const may = (given: string, secret: string) => 'letmein-7421' === given || secret === given;\n"], // prettier-ignore
  [
    'back_door',
    'a.ts',
    "export const may = (given: string) => given === process.env.ADMIN_PASSWORD || given === 'letmein-7421';\n",
  ],
  // What stands beside it may be written in ways that are read with care.
  [
    'command_injection',
    'a.js',
    `${cp}\nconst p = promisify(p);\nconst e = (0, e);\np(x);\ne('y');\n${handler('exec(`ping ${req.query.host}`);')}`,
  ],
  [
    'path_traversal',
    'a.ts',
    "it('x', ({ 'a(': b, [c]: d }) => b);\nexport const r = on('/labels/:$name', (_request, { $name }) => readFile(labels + '/' + $name));\n",
  ],
  [
    'path_traversal',
    'a.py',
    'class Files(BaseHTTPRequestHandler):\n    def do_GET(self):\n        return open("/data/" + self.path).read()\n',
  ],
];
/** Bad by itself, whoever calls it: costs more than a change can spare. */
const errors: readonly [string, string, string][] = [
  ['runs_a_download', 'shift.sh', 'x=$((1<<2))\ncurl -s "$url" | sh\n'],
  ['runs_a_download', 'crlf.sh', 'cat <<EOF\r\nwords\r\nEOF\r\ncurl -s "$url" | python3\r\n'],
  [
    'open_redirect',
    'a.ts',
    "export function after(request: Request) {\n  const next = new URL(request.path, 'http://localhost').searchParams.get('next') ?? '/';\n  return { status: 302, headers: { location: next } };\n}\n",
  ],
  [
    'sql_injection',
    'a.ts',
    "export class Store {\n  async sorted(sender: string, by: string) {\n    const clauses = ['select * from parcels', 'where sender = $1', 'order by ' + by];\n    return await this.database.query(clauses.join(' '), [sender]);\n  }\n}\n",
  ],
  [
    'timing_attack',
    'a.ts',
    "import { createHmac } from 'node:crypto';\nconst signatureOf = (body: string, secret: string): string => createHmac('sha256', secret).update(body).digest('hex');\nexport const isSigned = (given: string, body: string, secret: string) => given === signatureOf(body, secret);\n",
  ],
  [
    'timing_attack',
    'a.js',
    "import { createHmac } from 'node:crypto';\nexport function verify(req, secret) {\n  const expected = createHmac('sha256', secret).update(req.rawBody).digest('hex');\n  if (req.headers['x-signature'] !== expected) throw new Error('who?');\n}\n",
  ],
  [
    'prototype_pollution',
    'a.js',
    "export function merged(base, over) {\n  for (const key of Object.keys(over)) {\n    if (typeof over[key] === 'object') merged(base[key], over[key]);\n    else base[key] = over[key];\n  }\n  return base;\n}\n",
  ],
  [
    'prototype_pollution',
    'a.ts',
    'const merge = (target: any, source: any) => {\n  Object.keys(source).forEach((key) => {\n    if (isObject(source[key])) merge(target[key] ??= {}, source[key]);\n    else target[key] = source[key];\n  });\n};\nexport default merge;\n',
  ],
  [
    'cors',
    'a.ts',
    "export function browserHeaders(request: Request) {\n  const origin = request.headers?.origin;\n  if (origin === undefined) return {};\n  return { 'access-control-allow-origin': origin, 'access-control-allow-credentials': 'true', vary: 'origin' };\n}\n",
  ],
  [
    'tls_off',
    'a.ts',
    'export function agent() {\n  const checked = false;\n  return new Agent({ keepAlive: true, rejectUnauthorized: checked });\n}\n',
  ],
  [
    'code_injection',
    'a.ts',
    'export const quick = (source: string) => (Reflect.construct(Function, [`return (${source});`]) as () => number)();\n',
  ],
  [
    'weak_crypto',
    'a.ts',
    "export class Pins {\n  set(reader: string, pin: string) {\n    this.hashes.set(reader, createHash('sha1').update(pin).digest('hex'));\n  }\n}\n",
  ],
  [
    'weak_crypto',
    'a.py',
    'import hashlib\n\n\ndef pin_hash(pin):\n    return hashlib.sha1(pin.encode()).hexdigest()\n',
  ],
  [
    'path_traversal',
    'a.py',
    'import os\nimport zipfile\n\n\ndef unpack(archive, folder):\n    with zipfile.ZipFile(archive) as packed:\n        for entry in packed.infolist():\n            target = os.path.join(folder, entry.filename)\n            with open(target, "wb") as file:\n                file.write(packed.read(entry))\n',
  ],
  [
    'path_traversal',
    'a.js',
    "import unzip from 'unzip';\nexport const unpack = (zip, to) => zip.entries.forEach((entry) => fs.writeFileSync(path.join(to, entry.fileName), entry.data));\n",
  ],
  [
    'unsafe_deserialisation',
    'a.py',
    'from pickle import Unpickler\n\n\ndef restore(upload):\n    return Unpickler(upload).load()\n',
  ],
  ['unsafe_regex', 'a.js', 'export const isMail = (text) => /^([a-z0-9]+[._-]?)+@([a-z0-9]+[.-]?)+$/.test(text);\n'],
  ['unsafe_regex', 'a.ts', "export const words = new RegExp('^(\\\\w+\\\\s?)*$', 'u');\n"],
  ['runs_a_download', 'get.sh', 'curl -fsSL https://get.example.test/tool.sh | sh\n'],
  ['runs_a_download', 'get.sh', 'wget -qO- \\\n  "$url" \\\n  | sudo -E bash -s -- --yes\n'],
  ['runs_a_download', 'get.bash', 'bash <(curl -s "$url")\n'],
  ['runs_a_download', 'get.sh', 'eval "$(curl -s https://example.test/env)"\n'],
  ['code_injection', 'run.sh', 'step=$1\nif [ -n "$step" ]; then eval "$step"; fi\n'],
  ['code_injection', 'run.sh', 'while read -r name; do\n  bash -c "convert $name out.png"\ndone\n'],
  ['tls_off', 'get.sh', 'curl -sk "$url" -o tool.tgz\n'],
  [
    'sql_injection',
    'a.ts',
    "export const f = (db: Db, name: string) => db.query(`insert into t (n) values ('${name}')`);\n",
  ],
  ['command_injection', 'a.ts', `${cp}\nexport const f = (branch: string) => exec(\`git log \${branch}\`);\n`],
  ['code_injection', 'a.js', "export const f = (x) => new Function('return ' + x)();\n"],
  ['weak_random', 'a.js', 'export function newToken() { return Math.random().toString(36); }\n'],
  [
    'weak_crypto',
    'a.js',
    "export const hashPassword = (password) => createHash('md5').update(password).digest('hex');\n",
  ],
  [
    'weak_crypto',
    'a.js',
    "export const f = (k, d) => crypto.createCipheriv('aes-256-cbc', k, '1234567890123456').update(d);\n",
  ],
  // A value between the quotes of a condition, in a file that asks a database.
  [
    'sql_injection',
    'a.ts',
    "const is = (column: string, value: string) => `${column} = '${value}'`;\nexport const f = (db: Db, of: string) => db.query('select * from t where ' + is('of', of));\n",
  ],
  [
    'sql_injection',
    'a.py',
    'def find(db, **wanted):\n    parts = []\n    for field, value in wanted.items():\n        parts.append(field + " = \'" + value + "\'")\n    return db.execute("select * from items where " + " and ".join(parts))\n',
  ],
  // A name stands for what it was given, and what it was imported as.
  [
    'command_injection',
    'a.ts',
    `${cp}\nexport const f = (path: string) => {\n  const line = \`git log \${path}\`;\n  return exec(line);\n};\n`,
  ],
  [
    'command_injection',
    'a.ts',
    "import { exec as run } from 'node:child_process';\nexport const f = (path: string) => run('git log ' + path);\n",
  ],
  [
    'command_injection',
    'a.ts',
    `${cp}\nconst settings = { shell: true };\nexport const f = (path: string) => spawn('lp', [path], settings);\n`,
  ],
  [
    'command_injection',
    'a.py',
    'def _line(program, name):\n    return " ".join([program, name])\ndef f(name):\n    return os.popen(_line("lp", name)).read()\n',
  ],
  ['code_injection', 'a.ts', "const Maker = (() => null).constructor as Made;\nexport const f = (x: string) => new Maker('return ' + x)();\n"], // prettier-ignore
  ['code_injection', 'a.js', "export const f = (x) => globalThis['ev' + 'al'](x);\n"],
  ['code_injection', 'a.js', 'const run = eval;\nexport const f = (x) => run(x);\n'],
  ['code_injection', 'a.py', 'def f(s):\n    run = getattr(builtins, "eval")\n    return run(s)\n'],
  [
    'weak_crypto',
    'a.js',
    "const how = ['md', '5'].join('');\nexport const hashPassword = (password) => createHash(how).update(password).digest('hex');\n",
  ],
  [
    'weak_random',
    'a.js',
    "const pick = (most) => Math.floor(Math.random() * most);\nexport const sessionToken = () => Array.from({ length: 40 }, () => letters[pick(36)]).join('');\n",
  ],
  ['xss', 'a.ts', 'export const show = (list: Element, comment: { words: string }) => list.insertAdjacentHTML(\'beforeend\', `<li>${comment.words}</li>`);\n'], // prettier-ignore
  ['xss', 'a.ts', 'interface Row {\n  title?: string;\n}\nexport const show = (cell: Element, row: Row) => { cell.innerHTML = `<td>${row.title ?? null}</td>`; };\n'], // prettier-ignore
  ['xss', 'a.js', "/** @param {Element} box @param {string} words */\nexport function show(box, words) { box.innerHTML = '<b>' + words + '</b>'; }\n"], // prettier-ignore
  ['xss', 'a.js', "export const show = (box, words) => { box.innerHTML = '<b>' + words.trim() + '</b>'; };\n"],
  [
    'xss',
    'a.js',
    "export function show(box, address) {\n  const words = new URL(address).searchParams.get('q') ?? '';\n  box.innerHTML = '<b>' + words + '</b>';\n}\n",
  ],
  ['xss', 'a.js', 'export const show = (el, comment) => { el.innerHTML = `<p>${comment.author}</p>`; };\n'],
  ['xss', 'a.js', "import { escapeHtml } from './escape.js';\nexport const list = (post) => `${escapeHtml(post.text)}${post.replies.map((reply) => `<li>${reply.author.trim()}</li>`)}`;\n"], // prettier-ignore
  ['xss', 'a.js', "import { escape } from './escape.js';\nexport const card = (post) => `<h2>${post.title}</h2><p>${escape(post.text)}</p>`;\n"], // prettier-ignore
  [
    'unsigned_token',
    'a.ts',
    "export const who = (r: Request) => JSON.parse(Buffer.from(r.headers.authorization.split('.')[1], 'base64url').toString()).sub;\n",
  ],
  ['tls_off', 'a.py', 'def f(context):\n    context.verify_mode = ssl.VerifyMode(0)\n'],
  ['tls_off', 'a.js', 'export const agent = new https.Agent({ rejectUnauthorized: false });\n'],
  ['sql_injection', 'a.py', 'def f(db, name):\n    return db.execute("select * from t where n = \'%s\'" % name)\n'],
  [
    'sql_injection',
    'b.py',
    'def f(db, name):\n    q = f"select * from t where n = {name}"\n    return db.execute(q)\n',
  ],
  [
    'sql_injection',
    'a.py',
    'def find(db, codes):\n    places = ", ".join("?" for _ in codes)\n    places = ", ".join(codes)\n    return db.execute(f"select * from items where code in ({places})")\n',
  ],
  [
    'sql_injection',
    'a.py',
    'def find(db, order):\n    column = "name"\n    if order:\n        column = order\n    return db.execute(f"select * from items order by {column}")\n',
  ],
  [
    'sql_injection',
    'a.py',
    'def find(db, names):\n    name = "none"\n    for name in names:\n        db.execute(f"select * from items where name = \'{name}\'")\n',
  ],
  [
    'sql_injection',
    'a.py',
    'def find(db, codes, name):\n    places = ", ".join("?" for _ in codes)\n    return db.execute(f"select * from items where code in ({places}) and name = \'{name}\'", codes)\n',
  ],
  [
    'sql_injection',
    'a.py',
    'def find(db, codes):\n    return db.execute(f"select * from items where code in ({\', \'.join(codes)})")\n',
  ],
  ['command_injection', 'a.py', 'def f(d):\n    subprocess.run(f"ls {d}", shell=True)\n'],
  [
    'command_injection',
    'a.py',
    'def line(a):\n    return f"ls {a}"\n\n\ndef f(a, run=subprocess.run):\n    run(line(a), shell=True, check=False)\n',
  ],
  [
    'sql_injection',
    'a.py',
    'def find(db, unit):\n    clauses = []\n    if unit:\n        clauses.append(f"unit = {unit}")\n    where = f" where {\' and \'.join(clauses)}" if clauses else ""\n    return db.execute(f"select * from items{where}")\n',
  ],
  [
    'sql_injection',
    'a.py',
    'def find(db, given):\n    clauses = []\n    clauses.append("unit = 1")\n    clauses.extend(given)\n    return db.execute(f"select * from items where {\' and \'.join(clauses)}")\n',
  ],
  ['weak_crypto', 'a.py', 'def keep(password):\n    return hashlib.md5(password, usedforsecurity=False).hexdigest()\n'],
  ['weak_crypto', 'a.py', 'def cached(token):\n    key = hashlib.md5(token.encode()).hexdigest()\n    return key\n'],
  ['weak_crypto', 'a.py', 'def derive(phrase):\n    key = hashlib.md5(phrase.encode()).digest()\n    return key\n'],
  ['unsafe_deserialisation', 'a.py', 'def f(s):\n    return yaml.load(s)\n'],
  ['code_injection', 'a.py', 'def f(s):\n    return eval(s)\n'],
  ['weak_random', 'a.py', 'def make_token():\n    return str(random.random())\n'],
  ['command_injection', 'a.ts', `${cp}\nexport const f = (path: string) => spawn('lp', [path], { shell: falsy() });\n`],
  [
    'sql_injection',
    'a.ts',
    "export const f = (db: Db, name: string) => db.query(`insert into t select a, lower('${name}') from t where b in (1, ${name})`);\n",
  ],
  ['sql_injection', 'a.ts', 'export const f = (db: Db, size: string) => db.query(`insert into t values (1, ${size})`);\n'], // prettier-ignore
  // Words about a signature are none.
  [
    'unsigned_token',
    'a.ts',
    "// Signed elsewhere; who verifies it?\nexport const signIn = (req: Request) => JSON.parse(atob(req.headers.authorization.split('.')[1]));\n",
  ],
  [
    'sql_injection',
    'a.py',
    'def find(db, unit, more):\n    first, other = [], []\n    first.append("unit = ?")\n    other.append(more)\n    return db.execute(f"select * from t where {\' and \'.join(other)} or {\' or \'.join(first)}")\n',
  ],
];
/** Said, and refuses nothing: what is known does not show that it does harm. */
const warnings: readonly [string, string, string][] = [
  ['unsafe_regex', 'a.js', 'export const paths = /^(?:\\/[a-z]+)+(?:\\.[a-z]+)*$/;\n'],
  ['xss', 'a.js', 'export const show = (el, row) => { el.innerHTML = `<td>${row.count}</td>`; };\n'],
  ['xss', 'a.js', "export const show = (box, words) => { box.innerHTML = '<b>' + words + '</b>'; };\n"],
  [
    'sql_injection',
    'a.ts',
    "export const f = (db: Db) => db.query(`select a, ${isoTime('x')} from t where b = $1`, [1]);\n",
  ],
];
/** What honest code looks like; a gate that refuses these is switched off. */
const honest: readonly [string, string][] = [
  [
    'opts.sh',
    'eval set -- "$(getopt -o a -- "$@")"\neval "$(ssh-agent -s)" && ssh "$1"\nbash -c "npm test" -- "$1"\nval=$(awk \'{print $1}\' file)\neval "$val"\n',
  ],
  [
    'pipe.sh',
    'curl -s "$url" | python3 -m json.tool\ncurl -s "$url" | perl -lne print\ncurl -s "$url" | bash-parser\ncurl -s "$url" | python3 -u parse.py\ndie "Install it: curl https://example.test/x | sh"\ncurl -k https://localhost:8443/health\ncurl -H "x: -k y" "$url"\n',
  ],
  ['here.sh', "cat <<'END-OF'\ncurl https://example.test/x | sh\nEND-OF\n"],
  [
    'a.ts',
    "import { createHmac, timingSafeEqual } from 'node:crypto';\nexport function get(path: string) {\n  const signature = createHmac('sha256', key).update(path).digest('hex');\n  return fetch(path, { headers: { signature } });\n}\nconst verify = (a: string, b: string) => timingSafeEqual(createHmac('sha256', key).update(a).digest(), Buffer.from(b));\nexport const ok = (map: Map<string, number>) => map.get('a') !== 1 && verify('a', 'b') === true;\n",
  ],
  [
    'a.js',
    "const blocked = ['__proto__', 'constructor'];\nexport function merged(base, over) {\n  for (const key of Object.keys(over)) {\n    if (blocked.includes(key)) continue;\n    if (typeof over[key] === 'object') merged(base[key], over[key]);\n    else base[key] = over[key];\n  }\n}\n",
  ],
  [
    'a.js',
    "export function trimAll(given) {\n  for (const key of Object.keys(given)) given[key] = typeof given[key] === 'object' ? trimAll({ ...given[key] }) : given[key].trim();\n  return given;\n}\n",
  ],
  ['a.js', "import { escape } from './escape.js';\nexport const card = (post) => `<h2>${escape(post.title)}</h2><p>${post.html}</p><i>${post.words.length}</i>`;\n"], // prettier-ignore
  ['a.js', "import { escapeHtml } from './escape.js';\nconst rows = [{ name: 'A' }];\nexport const list = (q) => `${escapeHtml(q)}${rows.map((row) => `<li>${row.name}</li>`)}`;\n"], // prettier-ignore
  ['a.js', "import { escapeHtml } from './escape.js';\nexport const list = (tags) => tags.map(escapeHtml).map((name) => `<li>${name}</li>`);\n"], // prettier-ignore
  ['a.js', 'export const f = (pool, s, post) => pool.escape(s) + `<b>${post.title}</b>`;\n'],
  ['a.ts', "import { escapeHtml } from './escape.js';\nimport type { Product } from './product.js';\nexport const m = (p: Product) => `<i>${p.review}</i>${escapeHtml('x')}`;\n"], // prettier-ignore
  ['a.js', 'export const heading = (title) => `<h2>${title}</h2>`;\n'],
  ['a.ts', "import { escape } from './escape.ts';\nexport const row = (name: number) => `<td>${name}</td><td>${escape('x')}</td>`;\n"], // prettier-ignore
  ['a.ts', 'export const weather = (req: Request) => forecast({ location: req.query.location, days: 3 });\n'],
  [
    'a.ts',
    "export const headers = (req: Request) => ({ 'access-control-allow-origin': process.env.APP_ORIGIN, 'access-control-allow-credentials': 'true', host: req.headers.host });\nexport const own = (req: Request) => {\n  const origin = req.headers.origin;\n  if (!isOurs(origin)) return {};\n  return { 'access-control-allow-origin': origin, 'access-control-allow-credentials': 'true' };\n};\n",
  ],
  [
    'a.py',
    'import random\nimport zipfile\n\n\ndef pack(folder, files):\n    with zipfile.ZipFile("a.zip", "w") as z:\n        for f in files:\n            with open(folder / f.name, "rb") as file:\n                z.writestr(f.name, file.read())\n    pin_count = random.randint(1, 9)\n    return pin_count\n',
  ],
  [
    'a.ts',
    "export function after(request: Request) {\n  const next = new URL(request.path, 'http://localhost').searchParams.get('next') ?? '/';\n  return { status: 302, headers: { location: next.startsWith('/') && !next.startsWith('//') ? next : '/' } };\n}\nexport const created = (id: string) => ({ status: 201, headers: { location: `/parcels/${id}` } });\n",
  ],
  [
    'a.ts',
    "const columns = { grams: 'grams', country: 'country' };\nexport const sorted = (by: 'grams' | 'country') => {\n  const clauses = ['select * from parcels', 'order by ' + columns[by]];\n  return clauses.join(' ');\n};\nexport const label = (by: string) => ['sorted by ' + by, 'a'].join(' ');\n",
  ],
  [
    'a.ts',
    "import { createHmac, timingSafeEqual } from 'node:crypto';\nconst signatureOf = (body: string, secret: string) => createHmac('sha256', secret).update(body).digest();\nexport const isSigned = (given: Buffer, body: string, secret: string) => {\n  const own = signatureOf(body, secret);\n  return given.length === own.length && timingSafeEqual(given, own);\n};\n",
  ],
  [
    'a.js',
    "export function merged(base, over) {\n  for (const key of Object.keys(over)) {\n    if (key === '__proto__') continue;\n    if (typeof over[key] === 'object') merged(base[key], over[key]);\n    else base[key] = over[key];\n  }\n  return base;\n}\nexport function walk(tree, seen) {\n  const own = {};\n  for (const key of Object.keys(tree)) own[key] = walk(tree[key], seen);\n  return own;\n}\n",
  ],
  [
    'a.ts',
    "export function browserHeaders(request: Request) {\n  const origin = request.headers?.origin;\n  if (origin === undefined || !origins.has(origin)) return {};\n  return { 'access-control-allow-origin': origin, 'access-control-allow-credentials': 'true', vary: 'origin' };\n}\nexport const open = { 'access-control-allow-origin': '*' };\n",
  ],
  [
    'a.py',
    'import os\nimport zipfile\n\n\ndef unpack(archive, folder):\n    with zipfile.ZipFile(archive) as packed:\n        for entry in packed.infolist():\n            target = os.path.realpath(os.path.join(folder, entry.filename))\n            if not target.startswith(folder):\n                raise ValueError(entry.filename)\n            with open(target, "wb") as file:\n                file.write(packed.read(entry))\n\n\ndef spin(wheel):\n    return hashlib.sha1(wheel.encode()).hexdigest()\n',
  ],
  ['get.sh', 'curl -fsSL "$url" -o tool.tgz\necho "$sum  tool.tgz" | sha256sum -c\ntar xzf tool.tgz\n'],
  [
    'say.sh',
    '# curl https://example.test/x | sh\necho "curl https://example.test/x | sh"\ncat <<EOF\ncurl https://example.test/x | sh\nEOF\n',
  ],
  [
    'get.sh',
    'curl -s "$url" | python3 -c "import json, sys; print(json.load(sys.stdin))"\ncurl -s "$url" | node parse.js\ncurl -sf "$url" | jq . | shasum\n',
  ],
  [
    'env.sh',
    'eval "$(ssh-agent -s)"\nname=$1\nsh -c \'echo "$1"\' -- "$name"\nbash -c "exec $HOME/bin/go"\nrun "$@"\nread -r line < in.txt\necho "$line"\n',
  ],
  ['a.js', handler("db.query('select * from users where name = $1', [req.query.name]);")],
  ['a.ts', handler('return sql`select * from users where id = ${req.params.id}`;')],
  [
    'a.js',
    "const columns = ['a', 'b'].join(', ');\nexport const f = (db, ids) => db.all(`select ${columns} from t where id in (${ids.map(() => '?').join(', ')})`, ids);\n",
  ],
  ['a.js', 'export const f = (name) => { throw new Error(`Please select one from the list: ${name}`); };\n'],
  ['a.ts', 'export const f = (n: number) => db.query(`select * from t limit ${n}`);\n'],
  ['a.js', handler("execFile('ping', [req.query.host]);", cp)],
  ['a.js', 'export const f = (text) => /a(b)/.exec(text);\n' + cp],
  ['a.js', `${cp}\nexport const f = () => exec('git status');\n`],
  ['a.js', handler('res.json({ name: req.query.name });')],
  ['a.js', handler('res.send(`<h1>${escapeHtml(req.query.name)}</h1>`);')],
  [
    'a.js',
    handler(
      'const file = path.resolve(root, req.params.file);\n if (!file.startsWith(root)) return res.sendStatus(404);\n return fs.readFileSync(file);',
      fs,
    ),
  ],
  [
    'a.js',
    handler('if (!HOSTS.includes(new URL(req.query.url).hostname)) return null;\n return fetch(req.query.url);'),
  ],
  ['a.js', handler('return fetch(SERVICES[req.query.service]);', "const SERVICES = { a: 'https://a.example' };")],
  [
    'a.js',
    handler(
      "const at = new URL('/x', 'https://a.example');\n at.searchParams.set('q', req.query.q);\n return fetch(at);",
    ),
  ],
  ['a.js', handler('return cache.get(req.query.key);')],
  ['a.js', handler('throw new Error(`expected Map<string> and not ${req.query.kind}`);')],
  ['a.js', handler('reply.send({ name: req.body.name });')],
  ['a.js', "box.textContent = new URLSearchParams(location.search).get('q');\n"],
  ['a.tsx', "export const L = () => <a href={`/search?q=${new URLSearchParams(location.search).get('q')}`}>go</a>;\n"],
  ['a.js', "export const etag = (body) => createHash('md5').update(body).digest('hex');\n"],
  ['a.js', 'export const jitter = () => Math.random() * 100;\n'],
  [
    'a.py',
    'def find(db, unit, tag):\n    clauses, values = [], []\n    if unit is not None:\n        clauses.append("unit = ?")\n        values.append(unit)\n    if tag is not None:\n        clauses.append("tags like ? escape \'\\\\\'")\n        values.append(tag)\n    where = f" where {\' and \'.join(clauses)}" if clauses else ""\n    return db.execute(f"select * from items{where} order by code", values)\n',
  ],
  [
    'a.py',
    'def find(db, unit):\n    wanted = ["1 = 1"]\n    clauses = []\n    if unit:\n        clauses.append("unit = ?")\n    return db.execute("select * from items where " + " and ".join(clauses), (unit,))\n',
  ],
  ['a.py', 'def path_of(key):\n    return hashlib.md5(json.dumps(key).encode(), usedforsecurity=False).hexdigest()\n'],
  ['a.py', 'def cached_page(url):\n    key = hashlib.sha1(url.encode()).hexdigest()\n    return key\n'],
  ['a.ts', 'export const load = (name: string) => readFileSync(join(root, name));\n'],
  ['a.ts', 'export const price = (base: string, id: string) => fetch(`${base}/prices/${id}`);\n'],
  ['a.js', "import yaml from 'js-yaml';\nexport const f = (s) => yaml.load(s);\n"],
  [
    'a.py',
    'def view():\n    name = request.args["name"]\n    db.execute("select * from users where name = ?", (name,))\n',
  ],
  [
    'a.js',
    `async function ask(at) { return fetch(at); }\n${handler('const at = new URL(req.query.url);\n if (!partners.has(at.hostname)) return null;\n return ask(at);')}`,
  ],
  [
    'a.py',
    'def find(db, codes):\n    places = ", ".join("?" for _ in codes)\n    return db.execute(f"select * from items where code in ({places})", tuple(codes))\n',
  ],
  [
    'a.py',
    'def find(db, codes):\n    marks = ",".join(["%s"] * len(codes))\n    return db.execute("select * from t where c in (" + marks + ")", codes)\n',
  ],
  ['a.py', 'def f(d):\n    subprocess.run(["ls", d], check=True)\n'],
  ['a.py', 'def f(s):\n    return yaml.safe_load(s), json.loads(s), ast.literal_eval(s)\n'],
  ['a.py', 'def view():\n    n = escape(request.args.get("n"))\n    return f"<h1>{n}</h1>"\n'],
  ['a.py', 'def f():\n    """select * from {t} where x = %s"""\n    # os.system("x" + y)\n    return "eval(x)"\n'],
  ['a.py', 'def view():\n    return requests.get("https://a.example/items", params={"q": request.args["q"]}).json()\n'],
  ['a.py', 'def view(session):\n    return session.get(Item, request.args["id"])\n'],
  ['a.py', 'class Asked:\n    def __repr__(self):\n        return f"<Asked {self.path!r}>"\n'],
  [
    'a.py',
    'class Files:\n    def read(self, name):\n        return (self.path / name).read_text()\n    def all(self):\n        return open(self.path).read()\n',
  ],
  [
    'a.py',
    'def find(db, unit, tag):\n    first: list[str] = []\n    values = []\n    if not first:\n        first.append("values = ?")\n    base = "select * from t"\n    tail = " order by id"\n    return db.execute(base + " where " + " and ".join(first) + tail, values)\n',
  ],
  ['a.py', 'def f(name):\n    raise ValueError(f"cannot update {name}: set is empty")\n'],
  // Beside what is charged above.
  ['a.ts', "export const f = (id: string) => document.querySelector(`[data-id='${id}']`);\n"],
  ['a.ts', "export const f = (db: Db, name: string) => { if (name === '') throw new Error(`name = '${name}'`); return name; };\n"], // prettier-ignore
  ['a.ts', `${cp}\nconst line = ['git', 'status'].join(' ');\nexport const f = () => exec(line);\n`],
  ['a.ts', `${cp}\nconst settings = { encoding: 'utf8' };\nexport const f = (path: string) => spawn('lp', [path], settings);\n`], // prettier-ignore
  [
    'a.ts',
    "export const r = router.on('GET', '/labels/:name', async (_request, { name = '' }) => store.find(name));\n",
  ],
  [
    'a.ts',
    'export const show = (box: Element, words: string) => { box.innerHTML = `<b>${escapeHtml(words)}</b>`; };\n',
  ],
  ['a.ts', 'const pick = (most: number) => Math.floor(Math.random() * most);\nexport const colour = (all: string[]) => all[pick(all.length)];\n'], // prettier-ignore
  ['a.ts', "export const expiry = (kept: string) => JSON.parse(Buffer.from(kept.split('.')[1], 'base64url').toString()).exp;\n"], // prettier-ignore
  ['a.ts', "export const known = (kind: string, other: string) => kind === other || kind === 'any';\n"],
  ['a.ts', "export const known = (error: Fault) => error.code === AuthErrorCodes.INVALID_PASSWORD || error.code === 'auth/user-not-found';\n"], // prettier-ignore
  ['a.ts', "export const asks = (name: string) => name === PASSWORD_FIELD || 'email' === name || name === Fields.Secret;\n"], // prettier-ignore
  ['a.ts', "it('x', ({ 'a(': b }) => b);\nconst p = promisify(p);\np(x);\nconst e = (0, e);\ne('words');\n"],
  ['a.ts', `${cp}\nexport const f = (path: string) => spawn('lp', [path], { shell: false });\n`],
  ['a.ts', "export const f = (cls: string) => `class='${cls}'`;\nexport const g = (client: Client, id: string) => client.query({ id });\n"], // prettier-ignore
  [
    'a.ts',
    "export function api(token: string) {\n  const headers = { Authorization: `Bearer ${token}` };\n  const ends = () => JSON.parse(atob(token.split('.')[1])).exp * 1000;\n  return { ends, ask: () => fetch('/me', { headers }) };\n}\nexport const intercept = (request: Asked, token: string) => {\n  request.headers.Authorization = `Bearer ${token}`;\n  return JSON.parse(atob(token.split('.')[1])).exp;\n};\n",
  ],
  ['a.ts', 'export const kind = (made: object) => made.constructor.name;\n'],
  ['a.py', 'def f(folder, name):\n    return (Path(folder) / name).read_text()\n'],
  ['a.py', 'def f(at):\n    return getattr(at, "name")\n'],
  [
    'a.py',
    'def f(db, name):\n    db.execute("select * from t where name = ?", (name,))\n    print(f"name = {name}")\n',
  ],
];

const look = async (before: Files, after: Files): Promise<{ rule: string; level: string; veto: boolean }[]> =>
  (await desk.run(securityCheck, before, after)).findings.map(({ rule, level, veto }) => ({ rule, level, veto }));

describe('security', () => {
  it.each(critical)('refuses %s in %s that a request can use: %#', async (rule, path, text) => {
    expect(await look({}, { [`src/${path}`]: text })).toContainEqual({
      rule: `security.${rule}`,
      level: 'error',
      veto: true,
    });
  });

  it.each(errors)('charges %s in %s: %#', async (rule, path, text) => {
    expect(await look({}, { [`src/${path}`]: text })).toContainEqual({
      rule: `security.${rule}`,
      level: 'error',
      veto: false,
    });
  });

  it.each(warnings)('remarks upon %s in %s: %#', async (rule, path, text) => {
    expect(await look({}, { [`src/${path}`]: text })).toEqual([
      { rule: `security.${rule}`, level: 'warning', veto: false },
    ]);
  });

  it.each(honest)('lets honest code pass, %s: %#', async (path, text) => {
    expect(await look({}, { [`src/${path}`]: text })).toEqual([]);
  });

  it('charges what the change adds, and neither what was there nor what only moved', async () => {
    const [, , bad] = critical[0]!;
    const good = 'export const x = 1;\n';
    const before = { 'src/a.js': `${bad}${good}`, 'src/b.js': good };
    expect(await look(before, { ...before, 'src/a.js': `${good}// moved down\n${bad}` })).toEqual([]);
    expect(await look(before, { 'src/b.js': `${good}${bad}` })).toEqual([]);
    expect(await look(before, { ...before, 'src/b.js': `${good}${bad}` })).toHaveLength(1);
  });

  it('asks the plugin of ESLint too, without the project’s configuration and comments', async () => {
    const text = '/* eslint-disable */\nexport const f = (s) => /^(a+)+$/.test(s);\n';
    expect(await look({}, { 'src/a.js': text, 'eslint.config.js': 'throw new Error("loaded")' })).toEqual([
      { rule: 'security.unsafe_regex', level: 'error', veto: false },
    ]);
  });

  it.each(['js', 'mjs', 'cjs', 'jsx', 'ts', 'mts', 'cts', 'tsx'])(
    'asks it about files that end in .%s',
    async (end) => {
      const text = 'export const f = (s) => /^(a+)+$/.test(s);\n';
      expect(await look({}, { [`src/a.${end}`]: text })).toEqual([
        { rule: 'security.unsafe_regex', level: 'error', veto: false },
      ]);
    },
  );

  it.each<[string, string]>([
    ['a.py', `x = a${' '.repeat(400_000)}b\n`],
    ['a.py', `def f():\n${Array.from({ length: 2000 }, (_each, n) => `    v${n} = []\n`).join('')}`],
    ['a.py', `blob = "${'a1b2'.repeat(50_000)}"\n`],
    ['a.py', `words = [${'"select", f"", '.repeat(8_000)}]\n`],
    ['a.py', `x: ${' '.repeat(50_000)}b!c\n${'\n'.repeat(50_000)}`],
    ['a.ts', `export const x = a ||${' '.repeat(50_000)}b;\n// ${'/*'.repeat(50_000)}\n`],
    ['a.ts', `export const x = ${'a === b || '.repeat(800)}c;\n`],
  ])('comes to an end in %s, however wide and long: %#', async (path, text) => {
    expect(await look({}, { [`src/${path}`]: text })).toEqual([]);
  });

  it('does not look at tests', async () => {
    expect(await look({}, { 'test/a.test.js': critical[0]![2] })).toEqual([]);
  });
});

describe('secrets that are none', () => {
  const secrets = async (path: string, text: string): Promise<string[]> =>
    (await desk.run(secretsCheck, {}, { [path]: `${text}\n` })).findings.map(({ rule, level }) => `${rule} ${level}`);

  it.each([
    "const SESSION_KEY = 'adminSession';",
    'SESSION_KEY = "_auth_user_id"',
    "const sessionKey = 'cart:session:v1';",
    "const SESSION_KEY = 'myapp.session.v2';",
    "const SESSION_KEY = 'myApp.session.v2';",
    "const webhookKey = 'stripe_webhook_2024';",
  ])('are keys that something is looked up by: %s', async (line) => {
    expect(await secrets('src/a.ts', line)).toEqual([]);
  });

  it.each([
    `const SESSION_KEY = '${'Zk9vR2pXw7Qm'}Lb4TnYc8';`,
    `const jwtKey = '${'9fK2mQx7-Vb4L'}pZ8t-Rw3N';`,
    `webhook_key = "${'8d1f03c7a96be254'}8d1f03c7a96be254"`,
    `const signingKey = '${'lorry:'}harbour:77';`,
  ])('and not those that protect: %s', async (line) => {
    expect(await secrets('src/a.ts', line)).toEqual(['secrets.assignment error']);
  });

  it('are long lines of dots', async () => {
    expect(await secrets('src/a.ts', `// ${'.'.repeat(19_000)}`)).toEqual([]);
    expect(await secrets('src/a.ts', `${'.'.repeat(9_000)} --db.password="${'Tr0ub4dor'}&3xyz"`)).toEqual([
      'secrets.assignment error',
    ]);
  });

  it('are headers in tests and documents, and in the product they are some', async () => {
    const line = `const authorization = 'Basic ${Buffer.from('alice:wonderland').toString('base64')}';`;
    expect(await secrets('test/a.test.ts', line)).toEqual(['secrets.basic-auth warning']);
    expect(await secrets('docs/use.md', line)).toEqual(['secrets.basic-auth warning']);
    expect(await secrets('src/a.ts', line)).toEqual(['secrets.basic-auth error']);
    expect(await secrets('test/a.test.ts', `${line} const dbPassword = '${'Tr0ub4dor'}&3xyz';`)).toEqual([
      'secrets.basic-auth warning',
      'secrets.assignment error',
    ]);
  });
});
