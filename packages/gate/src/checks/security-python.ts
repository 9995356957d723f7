import type { Hit } from '../source/fresh.ts';
import { pythonDefinitions, pythonLines, type PythonLine } from '../source/python.ts';

const request =
  /\b(?:flask\.)?(?:request|req)\.(?:args|form|values|json|data|headers|cookies|files|GET|POST|query_params|path_params|get_json|query|body|params|path|url)\b|\binput\(\)/;
const cleans =
  /\b(?:int|float|bool|len|escape|quote|basename|secure_filename|abspath|validate\w*|sanitize\w*|is_safe\w*|literal_eval|UUID)\(/;
/** One word and, anywhere behind it, another: told apart, or a text of many of the first takes ages. */
const followed = (code: string, first: RegExp, second: RegExp): boolean => {
  const at = first.exec(code);
  return at !== null && second.test(code.slice(at.index + at[0].length));
};
const isStatement = (code: string): boolean =>
  /\b(?:insert|replace)\s+into\b|\bdelete\s+from\b/i.test(code) ||
  followed(code, /\bselect\b/i, /\bfrom\b/i) ||
  followed(code, /\bupdate\b/i, /\bset\b/i);
const secretName = /passw|passcode|secret|token|session|nonce|salt|otp|\bkey\b|api_?key|signature|csrf|reset/i;

/** What a cache finds its values by is a key as well, and opens nothing. */
const bareKey = /\bkey\b/gi;
const pin = /(?<![a-z_])pin(?:_?(?:code|hash|number))?(?![a-z_])/i;
const hidesSomething = (said: string, disclaimed: boolean): boolean =>
  pin.test(said) ||
  secretName.test(
    disclaimed || /cache|memo(?:ize|ise)?|etag|dedup|fingerprint|checksum/i.test(said)
      ? said.replace(bareKey, '')
      : said,
  );

/** Is a text put together here: `f"…{x}…"`, `"…" % x`, `"…" + x`, `"…".format(x)`? */
const built = (code: string): boolean =>
  followed(code, /\b[rR]?[fF][rR]?["']/, /\{[^{}]/) ||
  /["']\s*%\s*[\w([]/.test(code) ||
  /["']\s*\+\s*\w|\w\s*\+\s*["']/.test(code) ||
  /["']\.format\(/.test(code);

const literal = /^(["'])(?:(?!\1)[^\\{}])*\1$/;
/** A mark for each value and nothing of theirs: `", ".join("?" for _ in codes)`, `", ".join(["?"] * len(codes))`. */
const marks =
  /^(["'])[, ]*\1\.join\(\s*(?:[([]?\s*(["'])(?:\?|%s)\2\s+for\s+\w+\s+in\s+[\w.]+(?:\([\w., ]*\))?\s*[)\]]?|[([]\s*(["'])(?:\?|%s)\3\s*,?\s*[)\]]\s*\*\s*len\([\w.]+\))\s*\)$/;
const longest = 2000;
const isFixed = (given: string): boolean => {
  const code = given.trim().replace(/\s+/g, ' ');
  if (literal.test(code.replace(/^[fF](?=["'])/, '')) || marks.test(code)) return true;
  if (code.length > longest) return false;
  return /^(.+?) if [\w.]+ else (.+)$/.exec(code)?.slice(1).every(isFixed) === true;
};
/** A text, whatever is escaped in it, into which nothing is put. */
const plainText = /^(["'])(?:\\.|(?!\1)[^\\\n])*\1$/;

const begins = /^(\w+(?:\s*,\s*\w+)*)\s*(?::[^=]+)?=\s*(\[\](?:\s*,\s*\[\])*)$/;
/** Lists of a function that hold only texts which stand there, such as the conditions of a query: nothing else is ever done with them. */
function listsOfTexts(lines: readonly PythonLine[]): ReadonlySet<string> {
  const begun = lines.flatMap(({ text }) => {
    const pair = begins.exec(text.slice(0, longest));
    return pair === null ? [] : pair[1]!.split(',').map((name) => name.trim());
  });
  const lists = new Set(begun.slice(0, 50));
  for (const { text } of lines) {
    if (lists.size === 0) break;
    const added = /^(\w+)\.append\(([\s\S]*)\)$/.exec(text);
    if (added !== null && plainText.test(added[2]!.trim())) continue;
    const left = begins.test(text.slice(0, longest))
      ? text.slice(text.indexOf('='))
      : text.replace(/\.join\(\w+\)|\b(?:(?:if|elif)\s+(?:not\s+)?|not\s+)\w+\b(?![.([])|\blen\(\w+\)/g, '');
    for (const word of left.match(/\w+/g) ?? []) lists.delete(word);
  }
  return lists;
}

/** Names that a line gives something to in another way than by a plain assignment. */
function givenOtherwise(text: string): string[] {
  const several = /^[\w\s,*()[\]]+=(?!=)/.exec(text.slice(0, 500))?.[0];
  const loop = /\bfor\s+([\w\s,()*]{1,200}?)\s+in\b/g;
  return [
    ...[...text.matchAll(loop)].flatMap(([, names = '']) => names.match(/\w+/g) ?? []),
    ...[...text.matchAll(/\bas\s+(\w+)|\b(\w+)\s*:=|^(\w+)\s*(?:[-+*/%|&^]|\/\/|\*\*|<<|>>|@)=/g)].map(
      ([, as, walrus, augmented]) => (as ?? walrus ?? augmented)!,
    ),
    ...(several?.includes(',') === true ? (several.match(/\w+/g) ?? []) : []),
  ];
}

/** Functions of a file that answer a text put together of what they are given. */
function makersOfText(lines: readonly PythonLine[]): RegExp | null {
  let within: string | null = null;
  const names = new Set<string>();
  for (const { text } of lines) {
    within = /^def\s+(\w+)\(\w/.exec(text)?.[1] ?? within;
    const answer = /^return\s+([\s\S]+)$/.exec(text)?.[1];
    if (within !== null && answer !== undefined && (built(answer) || /^(["']) *\1\.join\(\s*\[/.test(answer)))
      names.add(within);
  }
  return names.size === 0 ? null : new RegExp(`^(?:${[...names].join('|')})\\(`);
}

/** `name = '…'` with a value between its quotes: a part of a statement that is put together elsewhere. */
const condition =
  /(?:=|<>|!=|\blike)\s*'%?(?:\{[^{}]+\}|%s)%?'|(?:=|<>|!=|\blike)\s*'%?(["'])\s*\+\s*[\w.[\]()]+\s*\+\s*(["'])%?'/i;

/** An element of a page; the names that objects give themselves in angles are none. */
const markup =
  /<\/[a-zA-Z]|<(?:[abipu]|h[1-6]|br|div|em|form|html|img|input|li|option|script|span|strong|t[dhr]|title)\b/;
const asking = 'get|post|put|patch|delete|head|request|urlopen|urlretrieve|stream';

/** The calls by which a file asks other servers: of modules under whatever name, of what was imported from them, of their clients. */
function askingCalls(source: string): RegExp {
  const objects = ['requests', 'httpx', 'urllib\\.request', 'urllib3', 'aiohttp'];
  const functions = ['urlopen'];
  for (const [, module = '', name] of source.matchAll(/^[ \t]*import\s+([\w.]+)\s+as\s+(\w+)/gm))
    if (objects.includes(module.replaceAll('.', '\\.'))) objects.push(name!);
  for (const [, module = '', names = ''] of source.matchAll(/^[ \t]*from\s+([\w.]+)\s+import\s+([^#\n]+)/gm)) {
    if (module === 'urllib' && /\brequest\b/.test(names))
      objects.push(/\brequest\s+as\s+(\w+)/.exec(names)?.[1] ?? 'request');
    if (!objects.includes(module.replaceAll('.', '\\.'))) continue;
    for (const [, name = '', , as] of names.matchAll(/(\w+)(\s+as\s+(\w+))?/g))
      if (new RegExp(`^(?:${asking})$`).test(name)) functions.push(as ?? name);
  }
  const client = `(?:${objects.join('|')})\\.(?:Session|session|Client|AsyncClient|ClientSession|PoolManager)\\(`;
  for (const [, assigned, opened] of source.matchAll(
    new RegExp(`\\b(\\w+)\\s*=\\s*${client}|${client}[^\\n]*\\)\\s+as\\s+(\\w+)`, 'g'),
  ))
    objects.push((assigned ?? opened)!);
  return new RegExp(
    `(?<![\\w.])(?:self\\.)?(?:${objects.join('|')})\\.(?:${asking})\\(|(?<![\\w.])(?:${functions.join('|')})\\(`,
  );
}

/** Vulnerable patterns of one Python file, line by logical line, with names followed from a request to where they are used. */
const named = /(?:\bjoin\([^()]*,\s*|\/\s*)\w+\.(?:filename|name)\b/;
/** What an archive calls its files decides where they are written: `../../etc/passwd` as well. */
function unpackedAnywhere(source: string): Hit[] {
  if (!/\b(?:zipfile\.|tarfile\.|ZipFile\()/.test(source)) return [];
  return pythonDefinitions(source).flatMap(({ body }): Hit[] => {
    const code = body.map(({ text }) => text).join('\n');
    const at = body.find(({ text }) => named.test(text));
    if (
      at === undefined ||
      code.length > 20_000 ||
      /ZipFile\([^)\n]{0,200}["'][wxa]["']|\b\w*(?:check|ensure|valid|inside|safe)\w{0,40}\([^()\n]{0,100}\.(?:filename|name)\b/i.test(
        code,
      ) ||
      !/\b(?:infolist|namelist|getmembers)\(|\bin\s+tar\w{0,20}:/.test(code) ||
      !/\bopen\([^\n(]{0,200}["'][wx]b?["']|\.write_bytes\(|\bcopyfileobj\(/.test(code) ||
      /\.\.["']|\b(?:realpath|abspath|commonpath|commonprefix|is_relative_to|relative_to|resolve|basename|secure_filename|startswith)\(/.test(
        code,
      )
    )
      return [];
    return [
      {
        rule: 'security.path_traversal',
        level: 'error',
        message: 'An archive decides where its files are written, and nothing keeps them inside a folder.',
        line: at.line,
        remedy:
          'Resolve each path and check that it stays within the folder, or let extract() do it with filter="data".',
        key: at.text.slice(0, 300),
      },
    ];
  });
}

export function pythonSecurity(_path: string, source: string): Hit[] {
  const hits: Hit[] = [];
  // What is set wide apart reads the same, and keeps no pattern busy.
  const narrow = (code: string): string => code.replace(/\s{20,}/g, ' ');
  const lines = pythonLines(source)
    .filter((each) => each.indent >= 0)
    .map((each) => ({ ...each, text: narrow(each.text), bare: narrow(each.bare) }));
  // Many things have a path; of a server's handler it is what was asked for.
  const handles = source.includes('HTTPRequestHandler');
  const asks = askingCalls(source);
  const speaksSql = lines.some((each) => isStatement(each.text)) && /\.(?:execute|executemany|raw)\(/.test(source);
  const makers = makersOfText(lines);
  let sent = new Map<string, number>();
  let texts = new Map<string, string>();
  /** Names that stand for the same text whatever comes, and those that ever stood for something else. */
  let fixed = new Set<string>();
  let varied = new Set<string>();
  let guarded = false;
  let within = '';
  let lists: ReadonlySet<string> = new Set();
  for (const [at, { line, indent, text, bare }] of lines.entries()) {
    const head = /^(?:async\s+)?def\s+(\w+)/.exec(text);
    if (head !== null) {
      sent = new Map();
      texts = new Map();
      fixed = new Set();
      varied = new Set(text.match(/\w+/g) ?? []);
      const end = lines.findIndex((each, index) => index > at && each.indent <= indent);
      lists = listsOfTexts(lines.slice(at, end < 0 ? undefined : end));
      guarded = false;
      within = head[1]!;
    }
    const uses = (code: string): boolean =>
      !cleans.test(code) &&
      (request.test(code) ||
        (handles && /\bself\.path\b/.test(code)) ||
        (sent.size > 0 && (code.match(/\w+/g) ?? []).some((word) => sent.has(word))));
    /** Without what is joined of texts that stand there. */
    const joined = (code: string): string =>
      lists.size === 0
        ? code
        : code
            .replace(/\{\s*(["'])[^"'{}]*\1\.join\((\w+)\)\s*\}/g, (whole, _quote, name: string) =>
              lists.has(name) ? '' : whole,
            )
            .replace(
              /(["'])\s*\+\s*(["'])[^"'{}]*\2\.join\((\w+)\)(?:\s*\+\s*\1)?/g,
              (whole, quote: string, _quote, name: string) => (lists.has(name) ? quote : whole),
            );
    const assigned = /^(\w+)(?:\s*:\s*[\w[\], .|]+)?\s*=(?!=)\s*([\s\S]+)$/.exec(text);
    if (assigned !== null) {
      if (uses(assigned[2]!)) sent.set(assigned[1]!, indent);
      else sent.delete(assigned[1]!);
      if (built(assigned[2]!)) texts.set(assigned[1]!, assigned[2]!);
      else texts.delete(assigned[1]!);
      if (isFixed(joined(assigned[2]!))) fixed.add(assigned[1]!);
      else varied.add(assigned[1]!);
    }
    for (const name of givenOtherwise(text)) varied.add(name);
    /** Without what is the same whatever comes. */
    const moving = (code: string): string => {
      const same = (name: string): boolean => fixed.has(name) && !varied.has(name);
      let rest = joined(code);
      if (fixed.size === 0) return rest;
      rest = rest.replace(/\{\s*(\w+)\s*\}/g, (whole, name: string) => (same(name) ? '' : whole));
      // Again for `"…" + a + b`, where the second stands behind the first.
      for (let rounds = 0, was = ''; rounds < 5 && was !== rest; rounds++) {
        was = rest;
        rest = rest.replace(/(["'])\s*\+\s*(\w+)\b(?![.([])(?:\s*\+\s*\1)?/g, (whole, quote: string, name: string) =>
          same(name) ? quote : whole,
        );
      }
      return rest;
    };
    if (
      /\b(?:startswith|is_relative_to|commonpath|relative_to|realpath|resolve)\(|\.\.["']\s+in\b|\bin\s+[A-Z_]+\b|allow/.test(
        text,
      )
    )
      guarded = true;
    const hit = (rule: string, level: Hit['level'] | 'critical', message: string, remedy: string): void => {
      const key = text.replace(/\s+/g, ' ').slice(0, 300);
      hits.push({
        rule: `security.${rule}`,
        level: level === 'critical' ? 'error' : level,
        veto: level === 'critical',
        message,
        line,
        remedy,
        key,
      });
    };
    const argument = (call: RegExp): string | null => {
      const found = call.exec(bare);
      if (found === null) return null;
      const again = call.exec(text);
      const rest = (again === null ? text : text.slice(again.index + again[0].length)).trim();
      const name = /^(\w+)\s*[,)]/.exec(rest)?.[1];
      return name !== undefined && texts.has(name) ? `${texts.get(name)} ${name}` : rest;
    };
    const query = argument(/\.(?:execute|executemany|executescript|raw|query|text)\(/);
    if (query !== null && built(moving(query)) && isStatement(query))
      hit(
        'sql_injection',
        uses(query) ? 'critical' : 'error',
        'This SQL is put together from text and a value.',
        'Pass values as parameters of execute().',
      );
    else if (
      query === null &&
      assigned !== null &&
      isStatement(text) &&
      built(moving(text)) &&
      /["'](?:\s*\w*\s*)?(?:select|insert|update|delete)\b/i.test(text) &&
      /(?:=\s*'?|\blike\s+'?%?|values\s*\([^)]*'?)\{/i.test(moving(text))
    )
      hit(
        'sql_injection',
        uses(text) ? 'critical' : 'error',
        'This SQL is put together from text and a value.',
        'Pass values as parameters of execute().',
      );
    else if (
      query === null &&
      speaksSql &&
      built(text) &&
      condition.test(moving(text)) &&
      !/^(?:raise|assert)\b/.test(text)
    )
      hit(
        'sql_injection',
        uses(text) ? 'critical' : 'error',
        'This condition is put together from text and a value.',
        'Pass values as parameters of execute().',
      );
    const shell =
      argument(/\bos\.(?:system|popen)\(/) ??
      (/\bshell\s*=\s*True/.test(bare)
        ? argument(/\b(?:subprocess\.)?(?:run|call|check_call|check_output|Popen)\(/)
        : null);
    if (shell !== null) {
      if (uses(shell))
        hit(
          'command_injection',
          'critical',
          'A shell is given what a request sent.',
          'Call the program with a list of arguments and no shell.',
        );
      else if (built(shell) || makers?.test(shell) === true)
        hit(
          'command_injection',
          'error',
          'A shell is given a line with a value in it.',
          'Call the program with a list of arguments and no shell.',
        );
      else if (!/^[rb]?["']/.test(shell))
        hit(
          'command_injection',
          'warning',
          'A shell is given a value.',
          'Call the program with a list of arguments and no shell.',
        );
    }
    if (
      /\bgetattr\(\s*(?:builtins|__builtins__)\s*,|__builtins__\s*\[|^\w+\s*=\s*(?:builtins\.)?(?:eval|exec)$/.test(
        bare,
      )
    )
      hit(
        'code_injection',
        'error',
        'What runs text as code is fetched by another name.',
        'Call what is meant by its name.',
      );
    const code = argument(/(?<![.\w])(?:builtins\.)?(?:eval|exec)\(/);
    if (code !== null && !/^[rb]?["']/.test(code))
      hit(
        'code_injection',
        uses(code) ? 'critical' : 'error',
        'Text is run as code.',
        'Parse what is expected: ast.literal_eval, json, a table of functions.',
      );
    const loads = argument(
      /\b(?:pickle|cPickle|dill|marshal|shelve|jsonpickle)\.(?:loads?|open|decode)\(|(?<!\w|class |def )(?:pickle\.|cPickle\.|dill\.)?Unpickler\(/,
    );
    if (loads !== null)
      hit(
        'unsafe_deserialisation',
        uses(loads) ? 'critical' : 'error',
        'Data is turned into objects by something that runs what the data says.',
        'Use json.',
      );
    const yaml = argument(/\byaml\.(?:load|load_all|unsafe_load)\(/);
    if (yaml !== null && !/Safe|CSafe/.test(yaml))
      hit(
        'unsafe_deserialisation',
        uses(yaml) ? 'critical' : 'error',
        'yaml.load makes any object that the data asks for.',
        'Use yaml.safe_load.',
      );
    if (
      /\bverify\s*=\s*False\b|_create_unverified_context|CERT_NONE\b|check_hostname\s*=\s*False|verify_mode\s*=\s*(?:ssl\.VerifyMode\()?0/.test(
        bare,
      ) ||
      /setattr\([^)]*["']check_hostname["']\s*,\s*False/.test(text)
    )
      hit('tls_off', 'error', 'Certificates are not checked here.', 'Trust the certificate’s issuer instead.');
    if (
      /\bhashlib\.(?:md5|sha1)\(|hashlib\.new\(\s*["'](?:md5|sha1)/.test(text) &&
      hidesSomething(`${within} ${text}`, /\busedforsecurity\s*=\s*False\b/.test(bare))
    )
      hit(
        'weak_crypto',
        'error',
        'This hash is broken, and protects something here.',
        'Use hashlib.scrypt for passwords, SHA-256 or better for the rest.',
      );
    if (/\b(?:DES|ARC4|Blowfish)\.new\(|\bMODE_ECB\b/.test(bare))
      hit('weak_crypto', 'error', 'This cipher hides nothing from somebody who tries.', 'Use AES-GCM.');
    if (
      /\brandom\.(?:random|randint|choice|choices|randrange|getrandbits|sample)\(/.test(bare) &&
      secretName.test(`${within} ${assigned?.[1] ?? ''}`)
    )
      hit(
        'weak_random',
        'error',
        'These numbers can be foreseen, and what they make here should not be.',
        'Use the secrets module.',
      );
    if (/\btempfile\.mktemp\(/.test(bare))
      hit('race', 'warning', 'Somebody else can make this file first.', 'Use tempfile.mkstemp or NamedTemporaryFile.');
    const template = argument(/\brender_template_string\(|\bTemplate\(|\bfrom_string\(/);
    if (template !== null && (uses(template) || (built(template) && /render_template_string/.test(text))))
      hit(
        'template_injection',
        uses(template) ? 'critical' : 'error',
        'The template is put together from a value.',
        'Keep templates in files; pass values as data.',
      );
    if (
      (/^return\b|make_response\(|HttpResponse\(|HTMLResponse\(|Markup\(|mark_safe\(|\.write\(/.test(text)
        ? markup.test(text)
        : assigned !== null && /<\/[a-z][\w-]*>/.test(text)) &&
      built(text) &&
      uses(text)
    )
      hit(
        'xss',
        'critical',
        'What a request sent is written into a page as it is.',
        'Escape it with html.escape, or use a template.',
      );
    const opened = argument(/(?<![.\w])open\(|\bsend_file\(|\bos\.(?:remove|unlink|rmdir)\(|\bshutil\.rmtree\(/);
    if (opened !== null && uses(opened) && !guarded)
      hit(
        'path_traversal',
        'critical',
        'A request decides which file this is, and nothing keeps it inside a folder.',
        'Resolve the path and check that it stays within its folder.',
      );
    const touched =
      /^(?:\w+\s*=\s*|return\s+|with\s+|yield\s+)?([\s\S]*?)\.(?:read_text|read_bytes|write_text|write_bytes|unlink|open)\(/.exec(
        text,
      )?.[1];
    if (
      touched !== undefined &&
      (/\/\s*\w/.test(touched) || /\bPath\(/.test(touched) || /^\w+$/.test(touched)) &&
      uses(touched) &&
      !guarded
    )
      // prettier-ignore
      hit(
        'path_traversal',
        'critical',
        'A request decides which file this is, and nothing keeps it inside a folder.',
        'Resolve the path and check that it stays within its folder.',
      );
    const asked = argument(asks)?.replace(/^[\w.]*Request\(\s*/, '') ?? null;
    if (asked !== null && !guarded) {
      // The value is all of the address, or the beginning of it, or stands where a host does.
      const host =
        /^(\w+)\s*[,)]/.test(asked) ||
        /^(?:flask\.)?request\./.test(asked) ||
        /^f["'](?:https?:\/\/)?\{/.test(asked) ||
        /^["'](?:https?:\/\/)?["']\s*\+/.test(asked) ||
        /^["'](?:https?:\/\/)?(?:%s|\{\w*\})/.test(asked);
      if (host && uses(asked))
        hit(
          'ssrf',
          'critical',
          'A request decides which server this one asks.',
          'Check the address against a list of hosts.',
        );
    }
    if (/\bredirect\(/.test(bare) && uses(text.slice(text.indexOf('redirect('))) && !guarded)
      hit('open_redirect', 'error', 'A request decides where the browser is sent.', 'Send it to a path of this site.');
    if (/\bapp\.run\([^)]*debug\s*=\s*True/.test(bare))
      hit('debug_on', 'error', 'The debugger runs code for whoever reaches it.', 'Leave debug off.');
    if (
      /jwt\.decode\(/.test(bare) &&
      /verify_signature["']\s*:\s*False|verify\s*=\s*False|algorithms\s*=\s*\[\s*["']none/.test(text)
    )
      hit(
        'unsigned_token',
        'critical',
        'The token’s signature is not checked.',
        'Verify with the key and the algorithm that are expected.',
      );
  }
  hits.push(...unpackedAnywhere(source));
  return hits;
}
