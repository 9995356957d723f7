import type { Hit } from '../source/fresh.ts';

interface ShellLine {
  line: number;
  text: string;
}

/** What a person writes on one line; longer ones are data, and keep nobody busy here. */
const longest = 2000;
const mostCommands = 5000;

/** Commands of a script, continued lines joined and set close: without remarks, and without what is only handed on or said (here-documents, `echo`). */
function commandsIn(text: string): ShellLine[] {
  const commands: ShellLine[] = [];
  let until: { word: string; tabs: boolean } | null = null;
  let open: ShellLine | null = null;
  for (const [index, given] of text.split('\n').entries()) {
    if (commands.length >= mostCommands) break;
    const raw = given.trimEnd();
    if (until !== null) {
      if ((until.tabs ? raw.replace(/^\t+/, '') : raw) === until.word) until = null;
      continue;
    }
    if (raw.length > longest) continue;
    const bare = raw
      .replace(/(?:^|\s)#.*$/, '')
      .replace(/\s+/g, ' ')
      .trim();
    const joined: ShellLine = open === null ? { line: index + 1, text: bare } : { line: open.line, text: `${open.text} ${bare}` }; // prettier-ignore
    if (joined.text.endsWith('\\') && joined.text.length < longest) {
      open = { line: joined.line, text: joined.text.slice(0, -1).trim() };
      continue;
    }
    open = null;
    const here = /(?<![<(\d])<<(-?) ?(["']?)([A-Za-z_][\w-]*)\2/.exec(joined.text);
    if (here !== null && !/\(\([^)]*$/.test(joined.text.slice(0, here.index)))
      until = { word: here[3]!, tabs: here[1] === '-' };
    if (joined.text !== '' && joined.text.length <= longest && !/^(?:echo|printf)\b/.test(joined.text)) commands.push(joined); // prettier-ignore
  }
  return commands;
}

const shell = String.raw`(?:sudo (?:-\w+ )*)?(?:\/(?:usr\/)?bin\/)?(?:env )?(?:ba|z|da|k)?sh(?![\w-])`;
/** A language that is given its program by the pipe; one with a program of its own reads data. */
const interpreter = String.raw`(?:${shell}|(?:sudo )?(?:python[\d.]*|node|perl|ruby|php)(?: -)?(?= ?(?:$|[;&|)])))`;
/** What others serve is run as it comes. */
const piped = new RegExp(String.raw`\b(?:curl|wget)\b[^|;&]*\| ?${interpreter}`);
const fetched = [
  new RegExp(String.raw`${shell} -\w*c ["']?\$\( ?(?:curl|wget)\b`),
  /(?:^|[;&|(] ?)(?:eval|source|\.) (?:["']?\$\(|<\() ?(?:curl|wget)\b/,
  new RegExp(String.raw`${shell} <\( ?(?:curl|wget)\b`),
];
const unchecked =
  /\bcurl\b[^|;&]* (?:-[a-zA-Z]*k[a-zA-Z]*|--insecure)(?= |$)|\bwget\b[^|;&]* --no-check-certificate|\bNODE_TLS_REJECT_UNAUTHORIZED=["']?0|\bGIT_SSL_NO_VERIFY=["']?(?:1|true)|\bhttp\.sslVerify[= ]["']?false/;
const ofThisMachine = /\b(?:localhost|127\.0\.0\.1|::1)\b/;

/** Between single quotes nothing is put in; between any, nothing is a command, unless one is asked there. */
const withoutSingle = (text: string): string => text.replace(/'[^']*'/g, "''");
const withoutTexts = (text: string): string => withoutSingle(text).replace(/"(?:[^"\\$]|\\.|\$(?!\())*"/g, '""');

const mostNames = 50;
/** What is given to the script from outside: its arguments, and what it reads, under whatever name it keeps them. */
function givenIn(commands: readonly ShellLine[]): RegExp {
  const names = new Set<string>();
  const said = (): RegExp =>
    new RegExp(String.raw`\$(?:[1-9@*]|\{[1-9@*]${[...names].map((name) => `|${name}\\b|\\{${name}\\b`).join('')})`);
  let known = said();
  const keep = (name: string): void => {
    if (names.size >= mostNames || names.has(name)) return;
    names.add(name);
    known = said();
  };
  for (const { text } of commands) {
    const read = /(?:^|[;&|] ?|\bwhile )(?:IFS=\S* )?read ((?:-\w+ )*)([\w ]{1,200})/.exec(text);
    for (const name of read?.[2]?.match(/\w+/g) ?? []) keep(name);
    const kept = /^(?:(?:local|export|readonly) )?(\w+)=(.*)$/.exec(text);
    // As it is, and not what a command makes of it.
    if (kept !== null && !kept[2]!.includes('$(') && known.test(withoutSingle(kept[2]!))) keep(kept[1]!);
  }
  return known;
}

/** The text that a command of this line runs as code: up to where the next command begins. */
function evaluatedIn(command: string): string | null {
  const plain = withoutSingle(command);
  const start = /(?:^|[;&|(] ?|\b(?:then|do|else) )/.source;
  const evaluated = new RegExp(`${start}eval (?!set -- )([^;&|]*)`).exec(plain)?.[1];
  if (evaluated !== undefined) return evaluated.includes('$(') ? null : evaluated;
  return new RegExp(String.raw`${start}${shell} -\w*c (?:"((?:[^"\\]|\\.)*)"|(\$\S+))`).exec(plain)?.slice(1).join('') ?? null; // prettier-ignore
}

/** Vulnerable patterns of shell scripts. */
export function shellSecurity(text: string): Hit[] {
  const commands = commandsIn(text);
  const given = givenIn(commands);
  const hits: Hit[] = [];
  for (const { line, text: command } of commands) {
    const hit = (rule: string, level: Hit['level'], message: string, remedy: string): void =>
      void hits.push({ rule: `security.${rule}`, level, message, line, remedy, key: command.slice(0, 300) });
    const bare = withoutTexts(command);
    if (piped.test(bare) || fetched.some((each) => each.test(withoutSingle(command))))
      hit('runs_a_download', 'error', 'What comes from elsewhere is run here unseen.', 'Download it, compare it with a hash that is written here, and run it then.'); // prettier-ignore
    const evaluated = evaluatedIn(command);
    if (evaluated !== null && given.test(evaluated))
      hit('code_injection', 'error', 'What is given from outside is run as code here.', 'Call the command with arguments of its own: "$command" "$argument".'); // prettier-ignore
    if (unchecked.test(bare) && !ofThisMachine.test(command))
      hit('tls_off', 'error', 'Certificates are not checked here.', 'Trust the certificate’s issuer instead.');
    if (/\bchmod (?:-\w+ )*(?:0?777|a\+rwx|o\+w|a\+w)\b/.test(bare))
      hit('world_writable', 'warning', 'Everybody on the machine may write here.', 'Give the right to the one who needs it.'); // prettier-ignore
  }
  return hits;
}
