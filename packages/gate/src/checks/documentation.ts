import type { Finding } from '@muster/contracts';
import { posix } from 'node:path';
import ts from 'typescript';
import { ByContent } from '../source/by-content.ts';
import { mostSourceBytes } from '../source/fresh.ts';
import { parseScript } from '../source/functions.ts';
import { isProductSource, isPython, isScript } from '../source/paths.ts';
import { pythonDefinitions } from '../source/python.ts';
import type { SourceTree } from '../source/tree.ts';
import { breathe } from '../breath.ts';
import { changePurposes, findingOf, outcome, type Check } from './check.ts';
import { outlivedIn } from './outlived-names.ts';
import { unkeptIn } from './promised-names.ts';

const isProse = (path: string): boolean => /\.(?:md|mdx|markdown)$/i.test(path);

interface Exported {
  name: string;
  line: number;
  documented: boolean;
  isFunction: boolean;
}

const exported = new ByContent<Exported[]>();

/** What a file lets others use, and whether it says what that is for. */
export const exportedIn = (path: string, text: string): Exported[] =>
  exported.get(path, text, () => readExported(path, text));

function readExported(path: string, text: string): Exported[] {
  if (isPython(path)) {
    const all = pythonDefinitions(text);
    const said = new Set(all.filter((each) => each.documented).map((each) => each.name));
    const parents = new Map(
      [...text.matchAll(/^\s*class\s+(\w+)\s*\(([^)]*)\)/gm)].map((match) => [match[1]!, match[2]!.split(',')]),
    );
    // What a method is for is said where it was first promised.
    const inherits = (name: string): boolean => {
      const [holder = '', method] = name.split('.');
      return (
        method !== undefined && (parents.get(holder) ?? []).some((parent) => said.has(`${parent.trim()}.${method}`))
      );
    };
    return all
      .filter((each) => each.isPublic)
      .map(({ name, line, documented }) => ({
        name,
        line,
        documented: documented || inherits(name),
        isFunction: true,
      }));
  }
  const file = parseScript(path, text);
  return file.statements.flatMap((each): Exported[] => {
    const isExported =
      ts.canHaveModifiers(each) &&
      ts.getModifiers(each)?.some((modifier) => modifier.kind === ts.SyntaxKind.ExportKeyword) === true;
    if (!isExported) return [];
    const documented = (ts.getLeadingCommentRanges(text, each.getFullStart()) ?? []).some(
      (range) => text.startsWith('/**', range.pos) || text.startsWith('///', range.pos),
    );
    const line = file.getLineAndCharacterOfPosition(each.getStart(file)).line + 1;
    if ((ts.isFunctionDeclaration(each) || ts.isClassDeclaration(each)) && each.name !== undefined)
      return [{ name: each.name.text, line, documented, isFunction: true }];
    if (ts.isVariableStatement(each))
      return each.declarationList.declarations.flatMap((one) =>
        ts.isIdentifier(one.name)
          ? [
              {
                name: one.name.text,
                line,
                documented,
                isFunction: one.initializer !== undefined && ts.isFunctionLike(one.initializer),
              },
            ]
          : [],
      );
    return [];
  });
}

/** Headings as GitHub turns them into anchors. */
const anchorsOf = (text: string): Set<string> => {
  const seen = new Map<string, number>();
  const anchors = new Set<string>(
    [...text.matchAll(/(?:id|name)=["']([^"']+)["']/g)].map((match) => match[1]!.toLowerCase()),
  );
  for (const line of text.split('\n')) {
    if (!/^#{1,6}\s+\S/.test(line)) continue;
    const plain = line
      .slice(0, 1000)
      .replace(/^#{1,6}\s+/, '')
      .replace(/\[([^\]]*)\]\([^)]*\)/g, '$1')
      .replace(/<[^>]+>/g, '')
      .toLowerCase()
      .replace(/[^\p{L}\p{N}\s_-]/gu, '')
      .trim()
      .replace(/\s/g, '-');
    const times = seen.get(plain) ?? 0;
    seen.set(plain, times + 1);
    anchors.add(times === 0 ? plain : `${plain}-${times}`);
  }
  return anchors;
};

const anchorsOnce = new WeakMap<SourceTree, Map<string, Set<string>>>();
function anchorsIn(tree: SourceTree, path: string): Set<string> {
  const known = anchorsOnce.get(tree) ?? new Map<string, Set<string>>();
  anchorsOnce.set(tree, known);
  const found = known.get(path) ?? anchorsOf(tree.text(path) ?? '');
  known.set(path, found);
  return found;
}

const foldersOf = new WeakMap<SourceTree, Set<string>>();
function hasFolder(tree: SourceTree, path: string): boolean {
  let folders = foldersOf.get(tree);
  if (folders === undefined) {
    folders = new Set();
    for (const file of tree.files.keys())
      for (
        let at = file.lastIndexOf('/');
        at > 0 && !folders.has(file.slice(0, at));
        at = file.lastIndexOf('/', at - 1)
      )
        folders.add(file.slice(0, at));
    foldersOf.set(tree, folders);
  }
  return folders.has(path);
}

interface Link {
  target: string;
  line: number;
}
function linksIn(text: string): Link[] {
  const links: Link[] = [];
  let fenced = false;
  for (const [index, line] of text.split('\n').entries()) {
    if (/^\s*(?:```|~~~)/.test(line)) fenced = !fenced;
    if (fenced) continue;
    const prose = line.replace(/`[^`]*`/g, '');
    for (const match of prose.matchAll(
      /\]\(\s*<?([^)\s>]{1,1000})>?(?:\s+["'][^)]{0,1000})?\)|^\s*\[[^\]]+\]:\s*<?(\S+?)>?(?:\s|$)|(?:href|src)=["']([^"']+)["']/g,
    ))
      links.push({ target: (match[1] ?? match[2] ?? match[3])!, line: index + 1 });
  }
  return links;
}

function isBroken(tree: SourceTree, from: string, target: string): boolean {
  if (/^(?:[a-z][a-z0-9+.-]*:|\/\/|\{|\$|<)/i.test(target)) return false;
  const [path = '', anchor] = target.split('#');
  let name: string;
  try {
    name = decodeURIComponent(path.split('?')[0]!);
  } catch {
    return true;
  }
  const place =
    name === ''
      ? from
      : posix.normalize(posix.join(name.startsWith('/') ? '' : posix.dirname(from), name)).replace(/^\/|\/$/g, '');
  // A link that leads out of the repository means something on the host where it is shown.
  if (place.startsWith('..')) return false;
  const exists =
    place === '' ||
    place === '.' ||
    tree.has(place) ||
    hasFolder(tree, place) ||
    (!posix.basename(place).includes('.') && (tree.has(`${place}.md`) || tree.has(`${place}.mdx`)));
  if (!exists) return !name.startsWith('/');
  if (anchor === undefined || anchor === '' || !isProse(place) || /^L\d/.test(anchor)) return false;
  return /^[\p{L}\p{N}_-]+$/u.test(anchor) && !anchorsIn(tree, place).has(anchor.toLowerCase());
}

/** Names that a README's examples import from the package itself. */
function examplesIn(text: string, name: string): { imported: string; line: number }[] {
  const found: { imported: string; line: number }[] = [];
  const lines = text.split('\n');
  const taken = new RegExp(
    `(?:import|const|let|var)\\s*\\{([^{}]*)\\}\\s*(?:from\\s*|=\\s*require\\(\\s*)['"]${name.replace(/[.*+?^${}()|[\]\\/]/g, '\\$&')}['"]`,
  );
  let fenced = false;
  for (const [index, line] of lines.entries()) {
    if (/^\s*```/.test(line)) fenced = !fenced;
    const match = fenced ? taken.exec(line) : null;
    for (const part of match?.[1]!.split(',') ?? []) {
      const imported = part
        .trim()
        .replace(/\s+/g, ' ')
        .replace(/^type /, '')
        .split(/ as | ?: ?/)[0]!;
      if (imported !== '') found.push({ imported, line: index + 1 });
    }
  }
  return found;
}

const sources = (tree: SourceTree): string[] =>
  [...tree.files.keys()].filter(
    (path) => isProductSource(path) && (tree.text(path)?.length ?? Infinity) < mostSourceBytes,
  );

/** Words that go with the work: an interface that says what it is for, links that lead somewhere, examples that still work. */
export const documentationCheck: Check = {
  name: 'documentation',
  category: 'documentation',
  languages: ['*'],
  needs: [],
  purposes: changePurposes,
  async run({ policy, against, candidate, changes }) {
    if (!policy.checks.documentation) return outcome('not_run', 'switched off in muster.yaml');
    const findings: Finding[] = [];
    const report = (
      rule: string,
      level: Finding['level'],
      path: string,
      line: number | null,
      message: string,
      remedy: string,
      key: string,
    ): void => {
      findings.push(
        findingOf({ check: 'documentation', rule: `documentation.${rule}`, level, message, path, line, remedy, key }),
      );
    };
    // A project that says what its functions are for wants to hear it of new ones; of one that never does, nobody is asked.
    const habit = { all: 0, documented: 0 };
    for (const path of against === null ? [] : sources(against).slice(0, 2000)) {
      for (const each of exportedIn(path, against?.text(path) ?? '')) {
        if (!each.isFunction) continue;
        habit.all++;
        if (each.documented) habit.documented++;
      }
    }
    const share = habit.all >= 4 ? habit.documented / habit.all : 0;
    const known = new Set(
      changes.flatMap(({ path, status }) =>
        status === 'added' || !isProductSource(path)
          ? []
          : exportedIn(path, against?.text(path) ?? '').map((each) => each.name),
      ),
    );
    const fresh: string[] = [];
    for (const { path, status } of changes) {
      await breathe();
      if (
        status === 'removed' ||
        !isProductSource(path) ||
        (candidate.text(path)?.length ?? Infinity) > mostSourceBytes
      )
        continue;
      for (const { name, line, documented, isFunction } of exportedIn(path, candidate.text(path) ?? '')) {
        if (known.has(name) || !isFunction) continue;
        fresh.push(name);
        if (documented || share < 0.5) continue;
        report(
          'undocumented',
          share >= 0.8 ? 'error' : 'warning',
          path,
          line,
          `${name} is there for others and does not say what for; ${Math.round(share * 100)} % of this project’s exported functions do.`,
          'Say in a comment above it what it is for and what it answers.',
          `undocumented ${name}`,
        );
      }
    }
    const changed = new Set(changes.map((each) => each.path));
    const removed = new Set(changes.filter((change) => change.status === 'removed').map((change) => change.path));
    for (const path of candidate.files.keys()) {
      await breathe();
      if (!isProse(path)) continue;
      if (!changed.has(path) && removed.size === 0) continue;
      const text = candidate.text(path) ?? '';
      const old = new Set(linksIn(against?.text(path) ?? '').map(({ target }) => target));
      for (const { target, line } of linksIn(text)) {
        if (!isBroken(candidate, path, target)) continue;
        const already = against !== null && old.has(target) && isBroken(against, path, target);
        if (!already)
          report(
            'broken_link',
            'error',
            path,
            line,
            `This link leads nowhere: ${target.slice(0, 200)}`,
            'Correct it, or put back what it led to.',
            `${path} ${target}`,
          );
      }
    }
    for (const { path, line, what } of unkeptIn({ candidate, against, changes }, isProse))
      report(
        'names_nothing',
        'error',
        path,
        line,
        `This names ${what}.`,
        'Name what is there, or hand it in as well.',
        `${path} ${what}`,
      );
    for (const { path, line, name } of against === null ? [] : await outlivedIn(against, candidate, changes, isProse))
      report(
        'stale_example',
        'error',
        path,
        line,
        `This example calls ${name}, which the change takes away.`,
        'Bring the example up to date.',
        `${path} ${name}`,
      );
    const name = candidate.json('package.json')?.['name'];
    if (typeof name === 'string' && against !== null && changes.some(({ path }) => isScript(path))) {
      const namesOf = (tree: SourceTree): Set<string> => {
        const words = new Set<string>();
        for (const path of sources(tree))
          for (const match of (tree.text(path) ?? '').matchAll(
            /\b(?:export\b[^;{]{0,300}?\b(?:function\*?|const|let|var|class|enum|interface|type)\s+|exports\.)([A-Za-z_$][\w$]*)|(?:export|exports\s*=)\s*\{([^}]{0,5000})\}/g,
          ))
            for (const word of (match[1] ?? match[2] ?? '').split(','))
              words.add(
                word
                  .trim()
                  .replace(/\s+/g, ' ')
                  .split(/ as |:/)
                  .at(match[1] === undefined ? -1 : 0)!
                  .replace(/^type\s+/, '')
                  .trim(),
              );
        return words;
      };
      const gone = [...namesOf(against)].filter((each) => each !== '');
      const now = namesOf(candidate);
      const lost = new Set(gone.filter((each) => !now.has(each)));
      if (lost.size > 0)
        for (const path of candidate.files.keys())
          if (isProse(path))
            for (const { imported, line } of examplesIn(candidate.text(path) ?? '', name))
              if (lost.has(imported))
                report(
                  'stale_example',
                  'error',
                  path,
                  line,
                  `This example imports ${imported}, which is not exported any more.`,
                  'Bring the example up to date.',
                  `${path} ${imported}`,
                );
    }
    const changelog = [...candidate.files.keys()].find((path) => /^(?:CHANGELOG|CHANGES|HISTORY)\.md$/i.test(path));
    if (
      changelog !== undefined &&
      fresh.length > 0 &&
      /^##\s*\[?unreleased/im.test(candidate.text(changelog) ?? '') &&
      !changes.some(({ path }) => path === changelog)
    )
      report(
        'changelog',
        'warning',
        changelog,
        null,
        `${fresh.slice(0, 5).join(', ')} ${fresh.length === 1 ? 'is' : 'are'} new for others, and ${changelog} does not say so.`,
        'Add a line under “Unreleased”.',
        'changelog',
      );
    const failed = findings.some((each) => each.level === 'error');
    return outcome(
      failed ? 'failed' : 'passed',
      findings.length === 0
        ? 'what is new says what it is for, and links lead somewhere'
        : `${findings.length} gaps in what is written`,
      findings,
      { found: findings.length },
    );
  },
};
