import type { Finding } from '@muster/contracts';
import { isProductSource, isTestFile } from '../source/paths.ts';
import { breathe } from '../breath.ts';
import { changePurposes, findingOf, outcome, type Check } from './check.ts';

const known: readonly { rule: string; what: string; pattern: RegExp }[] = [
  { rule: 'aws-access-key', what: 'an AWS access key id', pattern: /\b(?:AKIA|ASIA|AGPA|AIDA|AROA)[A-Z0-9]{16}\b/ },
  {
    rule: 'github-token',
    what: 'a GitHub token',
    pattern: /\b(?:gh[pousr]_[A-Za-z0-9]{36,}|github_pat_[A-Za-z0-9_]{40,})\b/,
  },
  { rule: 'gitlab-token', what: 'a GitLab token', pattern: /\bglpat-[A-Za-z0-9_-]{20,}/ },
  { rule: 'slack-token', what: 'a Slack token', pattern: /\bxox[abeoprs]-[A-Za-z0-9-]{10,}/ },
  {
    rule: 'slack-webhook',
    what: 'a Slack webhook',
    pattern: /hooks\.slack\.com\/services\/T[A-Z0-9]{6,}\/B[A-Z0-9]{6,}\/[A-Za-z0-9]{16,}/,
  },
  { rule: 'stripe-key', what: 'a Stripe key', pattern: /\b[sr]k_(?:live|test)_[A-Za-z0-9]{16,}/ },
  { rule: 'google-api-key', what: 'a Google API key', pattern: /\bAIza[A-Za-z0-9_-]{35}/ },
  { rule: 'google-oauth-secret', what: 'a Google OAuth secret', pattern: /\bGOCSPX-[A-Za-z0-9_-]{20,}/ },
  { rule: 'npm-token', what: 'an npm token', pattern: /\bnpm_[A-Za-z0-9]{36}\b/ },
  { rule: 'npm-auth', what: 'a registry password', pattern: /:_(?:authToken|password|auth)\s*=\s*(?!\$\{)[^\s$]{8,}/ },
  { rule: 'pypi-token', what: 'a PyPI token', pattern: /\bpypi-[A-Za-z0-9_-]{50,}/ },
  { rule: 'sendgrid-key', what: 'a SendGrid key', pattern: /\bSG\.[A-Za-z0-9_-]{20,}\.[A-Za-z0-9_-]{30,}/ },
  { rule: 'twilio-key', what: 'a Twilio key', pattern: /\bSK[0-9a-f]{32}\b/ },
  { rule: 'model-api-key', what: 'a model provider’s key', pattern: /\bsk-(?:ant-|proj-)?[A-Za-z0-9_-]{32,}/ },
  { rule: 'private-key', what: 'a private key', pattern: /-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----/ },
  {
    rule: 'jwt',
    what: 'a signed token',
    pattern: /\beyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}/,
  },
  {
    rule: 'url-password',
    what: 'an address with a password in it',
    pattern:
      /\b[a-z][a-z0-9+.-]{1,20}:\/\/[^\s:@/'"`$<{]{1,60}:(?!password@|pass@|secret@|\*+@|x+@)[^\s:@/'"`$<{]{6,}@(?!localhost\b|127\.0\.0\.1\b|example\b)[^\s'"]/i,
  },
];

const assignment =
  /(?<![A-Za-z0-9_.-])([A-Za-z0-9_.-]*(?:password|passwd|passphrase|secret|api[_-]?key|apikey|access[_-]?key|private[_-]?key|(?:secret|signing|encryption|session|jwt|hmac|webhook)[_-]?key|auth[_-]?token|access[_-]?token|token|credential)s?)["'`]?\s*(?::\s*[A-Za-z<>[\]| ]{1,30}\s*)?(?:=|:|=>|:=)\s*(["'`])((?:(?!\2).){8,})\2/gi;
const environmentLine =
  /^\s*(?:export\s+)?([A-Z0-9_]*(?:PASSWORD|PASSWD|SECRET|API_?KEY|TOKEN|ACCESS_KEY|PRIVATE_KEY|CREDENTIALS?)[A-Z0-9_]*)\s*=\s*([^\s"'`#$<]{8,})\s*$/;
const placeholder =
  /^(?:<.*>|\$\{?.*|\{\{.*|%.*%|\*+|x+|\.+|-+)$|example|sample|placeholder|change[-_ ]?me|replace|dummy|fake|your[-_ ]|todo|redacted|lorem|foobar|process\.env|not[-_]?(?:a[-_])?(?:real|secret)|^(?:test|password|passwd|secret|token|hunter2?)[-_]?\d{0,4}$|^[a-z]+(?:[ ][a-zA-Z,.]+){2,}/i;
/** A name, a path or an address: long, and no secret. */
const harmless =
  /^(?:[a-z]+(?:[-_. ][a-z]+)*|[A-Z]+(?:_[A-Z]+)*|[./~][\w./-]*|urn:[a-z0-9][a-z0-9-]+:[\w:.-]+|https?:\/\/[^\s:@]+|[\w-]+\/[\w./-]+)$/;
/** `Passwort`, `Mot de passe`: what a field is called for people. */
const label = /^\p{Lu}\p{Ll}+(?:[ -]\p{L}+)*[.:!?…]?$/u;
const quoted = /(["'`])([A-Za-z0-9+/=_-]{32,200})\1/g;

const document = /\.(?:mdx?|markdown|rst|adoc|txt)$/i;
/** Files whose long strings are hashes by nature. */
const generated =
  /(^|\/)(package-lock\.json|npm-shrinkwrap\.json|yarn\.lock|pnpm-lock\.yaml|bun\.lock|poetry\.lock|Cargo\.lock|composer\.lock|go\.sum)$|\.(snap|svg|map|min\.js|min\.css)$/;

function bitsPerCharacter(text: string): number {
  const counts = new Map<string, number>();
  for (const character of text) counts.set(character, (counts.get(character) ?? 0) + 1);
  let bits = 0;
  for (const count of counts.values()) bits -= (count / text.length) * Math.log2(count / text.length);
  return bits;
}

const longestWalk = 10;
/** `a1B2c3D4e5F6…`: written by somebody who went through the alphabet, where chance would not in a billion keys. */
function walksTheAlphabet(text: string): boolean {
  const letters = text.toLowerCase().replace(/[^a-z]/g, '');
  let run = 1;
  for (let at = 1; at < letters.length && run < longestWalk; at++)
    run = letters.charCodeAt(at) === letters.charCodeAt(at - 1) + 1 ? run + 1 : 1;
  return run >= longestWalk;
}

const looksRandom = (text: string): boolean => {
  if (/^[0-9a-f]+$/i.test(text)) return false; // digests and ids of commits are everywhere
  if (!/[0-9]/.test(text) || !/[a-z]/.test(text) || !/[A-Z]/.test(text)) return false;
  if (/^(?:sha\d+-|[A-Za-z]+\/[A-Za-z]+)/.test(text)) return false;
  if (walksTheAlphabet(text) || text.includes('0123456789')) return false;
  return bitsPerCharacter(text) >= 4.3;
};

/** Sessions, tokens and hooks are looked up by keys that hide nothing, such as `cart:session:v1`: these have to look like secrets. */
const lookUp = /(?:session|jwt|webhook)[_-]?keys?$/i;
const opensNothing = (name: string, value: string): boolean =>
  lookUp.test(name) &&
  !/^[0-9a-f]{32,}$/i.test(value) &&
  !looksRandom(value) &&
  (value.length < 16 ||
    !/\d/.test(value) ||
    !/[a-z]/.test(value) ||
    !/[A-Z]/.test(value) ||
    /^[A-Za-z]+(?:[.:_/-](?:[A-Za-z]+|v?\d{1,4}))*$/.test(value));

interface Leak {
  rule: string;
  what: string;
  column: string;
}

/** In tests also what walks the alphabet. Elsewhere nobody can tell what such a key opens, and who needs a sample has other words for it. */
const isMadeUp = (text: string, inTests: boolean): boolean =>
  /EXAMPLE|example|xxxx|0{12}/.test(text) || (inTests && walksTheAlphabet(text));

/** The first of each format that nobody made up: a sample hides no key beside it. */
const formatsIn = (text: string, inTests: boolean): Leak[] =>
  known.flatMap(({ rule, what, pattern }) => {
    const hit = [...text.matchAll(new RegExp(pattern, `g${pattern.flags}`))].find(
      ([found]) => !isMadeUp(found, inTests),
    );
    return hit === undefined ? [] : [{ rule, what, column: hit[0] }];
  });

/** Known formats behind base64, which hides them from eyes and from nobody else. */
const encodedIn = (line: string, inTests: boolean): Leak[] =>
  [...line.matchAll(/(["'`=:\s])([A-Za-z0-9+/_-]{24,4000}={0,2})(?=["'`\s,;]|$)/g)].flatMap((hit) =>
    formatsIn(Buffer.from(hit[2]!, 'base64').toString('latin1'), inTests).map((leak) => ({
      ...leak,
      what: `${leak.what} in base64`,
    })),
  );

/** `Basic …`: a name and a password, in letters that look like neither. */
const basicIn = (line: string): Leak[] =>
  [...line.matchAll(/\bBasic ([A-Za-z0-9+/]{12,}={0,2})(?=["'`\s]|$)/g)].flatMap(([, encoded = '']) => {
    const pair = /^[\w.@+-]{1,60}:([\x21-\x7e]{6,})$/.exec(Buffer.from(encoded, 'base64').toString('latin1'));
    return pair === null || placeholder.test(pair[1]!)
      ? []
      : [{ rule: 'basic-auth', what: 'a name and a password for HTTP', column: encoded }];
  });

const settingsFile = /\.(?:ya?ml|properties|ini|toml|conf|cfg)$|(?:^|\/)\.env(?:\.[^/]*)?$/;
const setting =
  /^\s*(?:-\s+)?([\w.-]*(?:password|passwd|passphrase|secret|api[_-]?key|access[_-]?key|private[_-]?key|(?:secret|signing|encryption|session|jwt|hmac|webhook)[_-]?key|auth[_-]?token|token))\s*[:=]\s*([^\s"'`#{}[\]<>$!&*|%@/~.][^\s"'`<>{}]{7,})\s*(?:#.*)?$/i;

/** @param path the kind of file decides whether a value needs quotes to be one */
export function secretsIn(line: string, path = ''): Leak[] {
  const inTests = isTestFile(path);
  const leaks: Leak[] = [...formatsIn(line, inTests)];
  if (leaks.length === 0) leaks.push(...encodedIn(line, inTests));
  if (leaks.length > 0) return leaks;
  // What may be a sample hides no key beside it.
  leaks.push(...basicIn(line));
  const basic = leaks.map(({ column }) => column);
  const plain = settingsFile.test(path) ? setting.exec(line) : null;
  if (
    plain !== null &&
    /\d/.test(plain[2]!) &&
    !placeholder.test(plain[2]!) &&
    !harmless.test(plain[2]!) &&
    !opensNothing(plain[1]!, plain[2]!)
  )
    return [{ rule: 'assignment', what: `a value for “${plain[1]}”`, column: plain[2]! }];
  for (const hit of line.matchAll(assignment)) {
    const value = hit[3]!;
    if (
      !placeholder.test(value) &&
      !harmless.test(value) &&
      !(label.test(value) && /:\s*["'`]/.test(hit[0])) &&
      !(document.test(path) && hit[2] === '`' && /^[A-Za-z]+$/.test(value)) &&
      !/\$\{|\s{1}.*\s/.test(value) &&
      !opensNothing(hit[1]!, value) &&
      !basic.some((each) => value.includes(each))
    )
      leaks.push({ rule: 'assignment', what: `a literal value for “${hit[1]}”`, column: value });
  }
  const set = environmentLine.exec(line);
  if (set !== null && !placeholder.test(set[2]!) && !harmless.test(set[2]!) && !/[()[\]{};]/.test(set[2]!)) {
    leaks.push({ rule: 'assignment', what: `a literal value for “${set[1]}”`, column: set[2]! });
  }
  if (leaks.length > 0) return leaks;
  for (const hit of line.matchAll(quoted)) {
    if (looksRandom(hit[2]!) && !placeholder.test(hit[2]!))
      leaks.push({ rule: 'high-entropy', what: 'a string as random as a key', column: hit[2]! });
  }
  return leaks;
}

/** Looks at added lines only. No list of formats is near complete; this one is a floor, not a proof of absence. */
export const secretsCheck: Check = {
  name: 'secrets',
  category: 'security',
  languages: ['*'],
  needs: [],
  purposes: ['base', ...changePurposes],
  async run({ purpose, against, candidate, changes }) {
    const findings: Finding[] = [];
    let lines = 0;
    for (const change of changes) {
      await breathe();
      if (change.status === 'removed' || generated.test(change.path)) continue;
      const text = candidate.text(change.path);
      const report = (leak: Leak, line: number | null): void => {
        // Tests are full of samples, and documents of what a header looks like. That one is random alone does not make it a key.
        const sample =
          (leak.rule === 'high-entropy' && isTestFile(change.path)) ||
          (leak.rule === 'basic-auth' && (isTestFile(change.path) || document.test(change.path)));
        findings.push(
          findingOf({
            check: 'secrets',
            rule: `secrets.${leak.rule}`,
            level: purpose === 'base' ? 'note' : sample ? 'warning' : 'error',
            veto: purpose !== 'base' && !sample,
            message: `This line holds ${leak.what} (${leak.column.slice(0, 4)}…).`,
            path: change.path,
            line,
            remedy:
              'Take it out, read it from the environment at run time, and revoke it where it was issued: whoever saw this change has it.',
            key: leak.column,
          }),
        );
      };
      if (text === null) {
        // A binary or very large file: known formats only, and only where the branch has not the same.
        const before = new Set(formatsIn(against?.content(change.path) ?? '', false).map((leak) => leak.column));
        for (const leak of formatsIn(candidate.content(change.path) ?? '', false))
          if (!before.has(leak.column)) report(leak, null);
        continue;
      }
      let found = 0;
      for (const [index, line] of text.split('\n').entries()) {
        if (!change.addedLines.has(index + 1)) continue;
        lines++;
        // Generated lines are long, and random as a whole: known formats only.
        for (const leak of line.length > 20_000
          ? formatsIn(line, isTestFile(change.path))
          : secretsIn(line, change.path)) {
          found++;
          report(leak, index + 1);
        }
      }
      // Put together from pieces. Tests do so to show a scanner what a key looks like; a product has no such reason.
      if (found === 0 && change.addedLines.size > 0 && isProductSource(change.path)) {
        const joined = (whole: string): Leak[] => formatsIn(whole.replace(/(["'`])\s*\+\s*(["'`])/g, ''), false);
        const before = new Set(joined(against?.text(change.path) ?? '').map((leak) => leak.column));
        for (const leak of joined(text)) if (!before.has(leak.column)) report(leak, null);
      }
    }
    const summary =
      findings.length === 0
        ? `no secret in ${lines} added lines`
        : `${findings.length} found in ${lines} ${purpose === 'base' ? '' : 'added '}lines`;
    // What may be a sample is said, and refuses nothing.
    const failed = purpose === 'base' ? findings.length > 0 : findings.some((each) => each.level === 'error');
    return outcome(failed ? 'failed' : 'passed', summary, findings, { lines, found: findings.length });
  },
};
