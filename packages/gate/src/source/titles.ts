/** The title of the work calls it a fix or a feature, wherever it says so. */
export const obliges =
  /\b(?:fix(?:es|ed)?|bug|feat(?:ure)?|add(?:s|ed)?|implement(?:s|ed)?|support(?:s|ed)?|introduce[sd]?|correct(?:s|ed)?|repair(?:s|ed)?|resolve[sd]?|prevent(?:s|ed)?|handle[sd]?)\b/i;

/** The same as the first thing that it says: this is what is promised, and not one word among others. */
const promises =
  /^(?:(?:feat|feature|fix|bugfix|hotfix|perf)(?:\([^)]*\))?!?:|(?:fix|add|implement|support|introduce|correct|repair|resolve|prevent|handle|enable|allow)(?:e?s|e?d)?\s)/i;

/** What is done by writing alone, wherever it is written: documents, remarks, layout. */
const ofWords =
  /\b(?:docs?|document\w*|docstrings?|[jt]s-?docs?|read-?me|change-?log|notes?|typos?|(?:output |code )?examples? (?:in|of|for)|(?:output|code) examples?|(?:broken|dead|wrong|outdated) links?|spell\w*|gramma\w*|wording|phras\w+|punctuation|capitali[sz]\w*|comments?|remarks?|licen[cs]e (?:headers?|texts?|notices?)|copyright|spdx|todos?|deprecat\w+|version(?:changed|added|modified)|doc-?blocks?|lint\w*|eslint|prettier|formatting|code style|line endings|(?:missing|trailing|extra|final|stray|superfluous|unnecessary) (?:newlines?|semicolons?)|reformat\w*|whitespaces?|white space|indentation|blank lines?|markdown|mdx?|translations?)\b|^(?:\w+(?:\([^)]*\))?!?:|fix(?:es|ed)?\s)\s*(?:the )?(?:code )?(?:format|newlines?|semicolons?)\s*$/i;
/** What may be meant of a document, where the change is nothing else. */
const ofDocuments =
  /\b(?:release|history|words?|sentences?|paragraphs?|sections?|chapters?|headings?|titles?|links?|ur[il]s?|anchors?|examples?|snippets?|demos?|samples?|guides?|tutorials?|tours?|tips?|faq|glossary|overview|introduction|explanations?|descriptions?|instructions?|details|info(?:rmation)?|clues?|mentions?|references?|licen[cs]\w*|notice|contribut\w*|maintainers?|authors?|credits?|sponsors?|thanks|acknowledg\w+|code of conduct|security policy|governance|roadmap|runbooks?|adrs?|decisions?|rfcs?|proposals?|plans?|badges?|logos?|toc|contents|diagrams?|screenshots?|templates?|help|usage|format|layout|style|steps?|install\w*|setup|troubleshoot\w*|images?|pages?|tables?|commands?|backticks?|quotes|periods?|commas?|years?|dates? (?:of|for))\b|(?:^|\s)@\w/i;

/** What is done by saying more of types: nothing of it is left when the code runs. */
const ofTypes =
  /\b(?:typ(?:es?|ed|ings?|escript)|ts|tsc|d\.ts|interfaces?|generics?|overloads?|signatures?|infer\w*|declarations?|annotat\w+|read-?only|unions?|enums?|casts?|strict\w*|dtos?|definitions?|mypy|compil\w+|build|imports?|exports?|circular|cycles?|ts\d+|override|as const|private|modifiers?|satisfies)\b|^(?:allow|support)\w*\b.*\b(?:null\w*|undefined|optional|any|unknown)\b|^(?!.*\b(?:crash\w*|throw\w*|exceptions?|typeerrors?|fail\w*)\b).*\b(?:undefined|null\w*)\b/i;

/** The first thing that it says is that there are tests. */
const promisesTests =
  /^(?:test(?:\([^)]*\))?!?:\s*)?(?:add|write|extend|improve|expand|introduce)(?:s|ed)?\s+(?:(?:a|an|the|some|more|few|new|further|missing|unit|integration|regression|end-to-end|e2e|automated|basic|first|couple|of|proper|real|better)\s+)*(?:tests|test cases?|specs|test(?=\s+(?:for|that|of|to|covering|against)\b)|(?:test\s+)?coverage(?=\s+(?:for|of)\b))\b(?!\s+(?:data|helpers?|utilit\w+|fixtures?|scripts?|runners?|config\w*|settings|setup|folders?|reports?|badges?|commands?|plans?|thresholds?|sections?|instructions)\b)(?!.*\b(?:to|in|on)\s+(?:the\s+)?(?:ci|workflows?|pipelines?|builds?|makefile|pre-?commit|package\.json|hooks?|docs?|documentation|readme|guide|contributing|change-?log|sdist|wheels?|tarballs?|distributions?)\b)/i;

const firstLine = (title: string): string => title.trimStart().split('\n')[0]!;

/** What a title promises, and what could keep it besides code that runs. */
export interface Promised {
  readonly kept: 'running' | 'tests';
  /** By words: anywhere, in documents alone, or not at all. */
  readonly byWords: 'anywhere' | 'in documents' | 'never';
  readonly byTypes: boolean;
}

/** Does the title say first of all that something works otherwise now, or that there are tests? Null where it promises neither. */
export function promiseOf(title: string): Promised | null {
  const said = firstLine(title);
  const kept = promisesTests.test(said) ? 'tests' : promises.test(said) ? 'running' : null;
  if (kept === null) return null;
  const byWords = ofWords.test(said) ? 'anywhere' : ofDocuments.test(said) ? 'in documents' : 'never';
  return { kept, byWords, byTypes: ofTypes.test(said) };
}
