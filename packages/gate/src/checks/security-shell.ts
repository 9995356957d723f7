import type { Hit } from '../source/fresh.ts';

interface ShellLine {
  line: number;
  text: string;
}

/** Commands of a script, continued lines joined: without remarks, and without what is only handed on or said (here-documents, `echo`). */
function commandsIn(text: string): ShellLine[] {
  const commands: ShellLine[] = [];
  let until: { word: string; tabs: boolean } | null = null;
  let open: ShellLine | null = null;
  for (const [index, raw] of text.split('\n').entries()) {
    if (until !== null) {
      if ((until.tabs ? raw.replace(/^\t+/, '') : raw) === until.word) until = null;
      continue;
    }
    const bare = raw.replace(/(?:^|\s)#.*$/, '');
    const joined: ShellLine =
      open === null ? { line: index + 1, text: bare } : { line: open.line, text: `${open.text} ${bare.trim()}` };
    if (joined.text.endsWith('\\') && joined.text.length < 10_000) {
      open = { line: joined.line, text: joined.text.slice(0, -1) };
      continue;
    }
    open = null;
    const here = /<<(-?)\s*(["']?)(\w+)\2/.exec(joined.text);
    if (here !== null && !joined.text.includes('<<<')) until = { word: here[3]!, tabs: here[1] === '-' };
    if (joined.text.trim() !== '' && !/^\s*(?:echo|printf)\b/.test(joined.text)) commands.push(joined);
  }
  return commands;
}

const shell = String.raw`(?:sudo\s+(?:-\w+\s+)*)?(?:\/(?:usr\/)?bin\/)?(?:env\s+)?(?:ba|z|da|k)?sh\b`;
const interpreter = String.raw`(?:${shell}|(?:sudo\s+)?(?:python3?|node|perl|ruby|php)\b(?!\s+-[ceEnpr]|\s+[^-\s|]))`;
/** What others serve is run as it comes. */
const fromElsewhere = [
  new RegExp(String.raw`\b(?:curl|wget)\b[^|;&]*\|\s*${interpreter}`),
  new RegExp(String.raw`${shell}\s+-\w*c\s+["']?\$\(\s*(?:curl|wget)\b`),
  /\b(?:eval|source|\.)\s+(?:["']?\$\(|<\()\s*(?:curl|wget)\b/,
  new RegExp(String.raw`${shell}\s+<\(\s*(?:curl|wget)\b`),
];
const unchecked =
  /\bcurl\b[^|;&]*\s(?:-[a-zA-Z]*k[a-zA-Z]*|--insecure)(?=\s|$)|\bwget\b[^|;&]*--no-check-certificate|\bNODE_TLS_REJECT_UNAUTHORIZED=["']?0|\bGIT_SSL_NO_VERIFY=["']?(?:1|true)|\bhttp\.sslVerify[= ]["']?false/;

/** What is given to the script from outside: its arguments, and what it reads, under whatever name it keeps them. */
function givenIn(commands: readonly ShellLine[]): RegExp {
  const names = new Set<string>();
  const said = (): RegExp =>
    new RegExp(String.raw`\$(?:[1-9@*]|\{[1-9@*]${[...names].map((name) => `|${name}\\b|\\{${name}\\b`).join('')})`);
  for (const { text } of commands) {
    const read = /(?:^|[;&|]\s*|\bwhile\s+(?:IFS=\S*\s+)?)\s*(?:IFS=\S*\s+)?read\s+((?:-\w+\s+)*)([\w\s]+)/.exec(text);
    for (const name of read?.[2]?.match(/\w+/g) ?? []) names.add(name);
    const kept = /^\s*(?:local\s+|export\s+|readonly\s+)*(\w+)=(.*)$/.exec(text);
    if (kept !== null && said().test(kept[2]!)) names.add(kept[1]!);
  }
  return said();
}

/** Vulnerable patterns of shell scripts. */
export function shellSecurity(text: string): Hit[] {
  const commands = commandsIn(text);
  const given = givenIn(commands.slice(0, 5000));
  const hits: Hit[] = [];
  for (const { line, text: command } of commands) {
    if (command.length > 10_000) continue;
    const hit = (rule: string, level: Hit['level'], message: string, remedy: string): void =>
      void hits.push({
        rule: `security.${rule}`,
        level,
        message,
        line,
        remedy,
        key: command.trim().slice(0, 300),
      });
    if (fromElsewhere.some((each) => each.test(command)))
      hit('runs_a_download', 'error', 'What comes from elsewhere is run here unseen.', 'Download it, compare it with a hash that is written here, and run it then.'); // prettier-ignore
    const evaluated = new RegExp(String.raw`(?:^|[;&|(]\s*|\b(?:then|do|else)\s+)\s*(?:eval\s+|${shell}\s+-\w*c\s+"|${shell}\s+-\w*c\s+\$)(.*)$`).exec(command)?.[1]; // prettier-ignore
    if (evaluated !== undefined && given.test(command.slice(command.indexOf(evaluated) - 1)))
      hit('code_injection', 'error', 'What is given from outside is run as code here.', 'Call the command with arguments of its own: "$command" "$argument".'); // prettier-ignore
    if (unchecked.test(command))
      hit('tls_off', 'error', 'Certificates are not checked here.', 'Trust the certificate’s issuer instead.');
    if (/\bchmod\s+(?:-\w+\s+)*(?:0?777|a\+rwx|o\+w|a\+w)\b/.test(command))
      hit('world_writable', 'warning', 'Everybody on the machine may write here.', 'Give the right to the one who needs it.'); // prettier-ignore
  }
  return hits;
}
