import { z } from 'zod';
import { idOf, objectId, timestamp } from './ids.ts';
import { generatedRule } from './resolution.ts';

/** `not_run` and `inconclusive` never count as passed. */
export const checkStatuses = ['passed', 'failed', 'not_run', 'inconclusive'] as const;
export const checkStatus = z.enum(checkStatuses);
export const findingLevels = ['error', 'warning', 'note'] as const;

/** One thing that a check found, in the words of SARIF; its place is in the candidate tree unless the file is gone there. */
export const finding = z
  .object({
    check: z.string().max(100),
    rule: z.string().max(200),
    level: z.enum(findingLevels),
    /** A veto refuses the change whatever its score. */
    veto: z.boolean(),
    message: z.string().max(4000),
    path: z.string().max(1024).nullable(),
    line: z.number().int().min(1).nullable(),
    /** How to win the points back. */
    remedy: z.string().max(2000).nullable(),
    /** Stays the same when lines move: what "new against the branch" is decided by. */
    fingerprint: z.string().max(200),
    reproduce: z
      .string()
      .max(8000)
      .nullable()
      .optional()
      .describe('the command that shows it in a clone where the work tree is what was verified; null: there is none'),
  })
  .meta({ id: 'Finding' });
export type Finding = z.infer<typeof finding>;

export const testCaseStatus = z.enum(['passed', 'failed', 'skipped']);
export const testCase = z.object({
  name: z.string().max(1000),
  file: z.string().max(1024).nullable(),
  status: testCaseStatus,
  message: z.string().max(8000).nullable(),
  ms: z.number().nullable(),
});
export type TestCase = z.infer<typeof testCase>;

/** What points are counted in. A project weighs them in `muster.yaml`. */
export const checkCategories = [
  'build',
  'tests',
  'types',
  'style',
  'structure',
  'dependencies',
  'performance',
  'security',
  'documentation',
  'honesty',
  'integrity',
] as const;
export const checkCategory = z.enum(checkCategories);

/** What one check established on the candidate, compared with the branch. Facts only: score and verdict are the server's. */
export const checkFacts = z.object({
  check: z.string().max(100),
  category: checkCategory,
  status: checkStatus,
  /** Why it was not run, or what it saw in one sentence. */
  summary: z.string().max(4000),
  blocked: z.boolean().optional().describe('true: the machine, not the change, is why it was not run'),
  findings: z.array(finding).max(5000),
  metrics: z.record(z.string(), z.number()),
  tool: z.object({ name: z.string(), version: z.string() }).nullable(),
  ms: z.number(),
  reused: z
    .object({
      since: timestamp,
      because: z.string().max(1000),
      verification: z.string().max(100).nullable().optional().describe('by which verification; null: by hand'),
    })
    .nullable()
    .optional()
    .describe('what was seen before, and why that still holds; absent or null: it was looked at now'),
});
export type CheckFacts = z.infer<typeof checkFacts>;

/** What the verifier answers on `muster.verify`. */
export const verificationFacts = z
  .object({
    candidateTree: objectId,
    baseTree: objectId.nullable(),
    /** Hash of rules and toolchain; with the trees the key under which evidence is never computed twice. */
    rulesDigest: z.string(),
    toolchain: z.object({
      digest: z.string(),
      node: z.string(),
      platform: z.string(),
      sandbox: z.string(),
      gate: z.string(),
    }),
    sandbox: z.object({ driver: z.string(), proven: z.boolean(), notes: z.array(z.string()) }),
    checks: z.array(checkFacts),
    /** Failing test names on the base: shown, charged to nobody. */
    baseFailures: z.array(z.string()),
    testCases: z.array(testCase).max(20_000),
    ms: z.number(),
  })
  .meta({ id: 'VerificationFacts' });
export type VerificationFacts = z.infer<typeof verificationFacts>;

/** What a first look showed, long before the verdict: the tests that the change has to do with, and what reading it shows. No verdict. */
export const firstLook = z
  .object({
    state: z
      .enum(['passing', 'failing', 'unknown'])
      .describe('unknown: which tests have to do with the change could not be told, or they could not be run'),
    checks: z
      .array(z.object({ check: z.string().max(100), status: checkStatus, summary: z.string().max(4000) }))
      .max(50),
    testFiles: z.array(z.string().max(1024)).max(200),
    failing: z.array(z.string().max(2000)).max(50),
    ms: z.number().min(0),
  })
  .meta({ id: 'FirstLook' });
export type FirstLook = z.infer<typeof firstLook>;

export const landingStrategies = ['squash', 'merge', 'rebase'] as const;
export type LandingStrategy = (typeof landingStrategies)[number];

const timeOfDay = z.string().regex(/^([01]\d|2[0-3]):[0-5]\d$/, 'must be a time like 22:30');
const timeZone = z
  .string()
  .max(64)
  .refine((name) => {
    try {
      return new Intl.DateTimeFormat('en', { timeZone: name }).resolvedOptions().timeZone !== '';
    } catch {
      return false;
    }
  }, 'must be a time zone like Europe/Berlin');

/** How accepted changes go into the branch. */
export const landingPolicy = z.strictObject({
  strategy: z
    .enum(landingStrategies)
    .default('squash')
    .describe('squash: one commit; merge: a merge commit; rebase: the commits of the submission, one after another'),
  mode: z
    .enum(['automatic', 'person'])
    .default('automatic')
    .describe('automatic: lands when accepted; person: when a person has released it'),
  /** Branches into which nothing goes without a person, whatever `mode` says. Globs. */
  protectedBranches: z.array(z.string().min(1).max(200)).max(50).default([]),
  /** Nothing lands between `from` and `to`, reverts excepted; over midnight where `to` is the earlier one. */
  quietHours: z
    .array(
      z.strictObject({
        days: z
          .array(z.enum(['mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun']))
          .max(7)
          .optional()
          .describe('the days on which it begins; default: every day'),
        from: timeOfDay,
        to: timeOfDay,
        timeZone: timeZone.default('UTC'),
      }),
    )
    .max(20)
    .default([]),
  /** At most this many accepted changes are verified on top of one another at the same time. */
  window: z.number().int().min(1).max(100).optional(),
});
export type LandingPolicy = z.infer<typeof landingPolicy>;

/** An address of somebody of the team, or a role in the project: `@developer`, `@maintainer`, `@owner`. */
export const reviewer = z
  .string()
  .max(254)
  .regex(
    /^(@(developer|maintainer|owner)|[^\s@]+@[^\s@]+)$/,
    'must be an email address, or @developer, @maintainer, @owner',
  );

/** Where a change needs people besides the gate. They see what a machine may not settle, and nothing else. */
export const reviewPolicy = z.strictObject({
  codeOwners: z
    .boolean()
    .default(false)
    .describe('the CODEOWNERS file of the landed head says whose approval changes to which paths need'),
  owners: z
    .array(
      z.strictObject({
        paths: z.array(z.string().min(1).max(300)).min(1).max(100),
        people: z.array(reviewer).min(1).max(50),
        approvals: z.number().int().min(1).max(10).default(1),
      }),
    )
    .max(100)
    .default([]),
  approvals: z
    .number()
    .int()
    .min(0)
    .max(10)
    .default(0)
    .describe('approvals that every change needs, whatever it touches'),
  rules: z
    .enum(['refuse', 'ask'])
    .default('refuse')
    .describe(
      'what becomes of an agent’s change to rules and protected paths with which nothing else is wrong: refused, or shown to a maintainer',
    ),
});
export type ReviewPolicy = z.infer<typeof reviewPolicy>;

/** One command that prints what it measured as JSON. It is run on the branch and on the change, in turns, until it is sure. */
export const benchmarkPolicy = z.strictObject({
  name: z.string().regex(/^[a-z][a-z0-9:_-]{0,60}$/),
  run: z.string().min(1).max(500),
  report: z
    .string()
    .min(1)
    .max(300)
    .regex(/^(?![/-])(?!.*(^|\/)\.\.(\/|$))[^\n\0]+$/, 'must be a path below the project')
    .optional()
    .describe('the file that the command writes its measures to; default: it prints them'),
  files: z
    .array(z.string().min(1).max(300))
    .max(50)
    .default(['bench/**', 'benchmark/**', 'benchmarks/**', '**/*.bench.*'])
    .describe('what it is made of; taken from the branch, so that a change does not bring its own ruler'),
  slowdownPercent: z.number().min(1).max(1000).default(10).describe('up to so much slower is let pass'),
  mostRounds: z.number().int().min(9).max(1000).default(160),
  mostSeconds: z.number().int().min(5).max(3600).default(300),
  timeoutSeconds: z.number().int().min(1).max(600).default(60).describe('of one run'),
});
export type BenchmarkPolicy = z.infer<typeof benchmarkPolicy>;

/** What must not get slower or larger. */
export const performancePolicy = z.strictObject({
  benchmarks: z
    .array(benchmarkPolicy)
    .max(20)
    .refine((all) => new Set(all.map((each) => each.name)).size === all.length, 'names of benchmarks differ')
    .optional()
    .describe('default: the package script `bench:json`, where there is one'),
  artefacts: z
    .array(
      z.strictObject({
        path: z.string().min(1).max(300).describe('a glob of what the build leaves'),
        growthPercent: z.number().min(0).max(1000).default(10),
        mostGzipBytes: z.number().int().min(1).optional(),
      }),
    )
    .max(50)
    .default([]),
  queries: z
    .strictObject({
      run: z.string().min(1).max(500).optional().describe('default: the tests'),
      repeats: z.number().int().min(2).max(10_000).default(10).describe('of one statement within one scope'),
      slowMs: z.number().min(1).max(600_000).default(200),
    })
    .optional()
    .describe('a test run that writes its queries to the file that MUSTER_QUERY_LOG names'),
});
export type PerformancePolicy = z.infer<typeof performancePolicy>;

/** What a project insists on, whatever the score. */
export const enforcerPolicy = z.strictObject({
  onBreach: z
    .enum(['refuse', 'review'])
    .default('refuse')
    .describe('refuse: the change is rejected; review: it is accepted and lands when a maintainer has approved it'),
  coverage: z.boolean().default(true).describe('tests run the share of changed lines that `coverage` names'),
  placeholders: z.boolean().default(true).describe('no file that only stands where something is to come'),
  critical: z
    .array(z.string().min(1).max(300))
    .max(100)
    .default([])
    .describe('globs; in these every changed line is run by a test, and every function is missed when it is emptied'),
  /** An agent whose work succeeds less often needs a maintainer's approval for what it hands in, until it does again. */
  agentSuccess: z
    .strictObject({
      percent: z.number().int().min(0).max(100).default(90).describe('0: not asked'),
      window: z
        .number()
        .int()
        .min(1)
        .max(200)
        .default(20)
        .describe('so many of its last finished pieces of work count'),
      least: z.number().int().min(1).max(200).default(10).describe('before so many nothing follows'),
    })
    .prefault({}),
});
export type EnforcerPolicy = z.infer<typeof enforcerPolicy>;

/** How a project wants to be judged: `muster.yaml` at the head of the target branch, bounded by the server's policy. */
export const projectPolicy = z
  .strictObject({
    threshold: z.number().int().min(0).max(100).default(85),
    checks: z
      .strictObject({
        install: z.boolean().default(true),
        build: z
          .union([z.boolean(), z.string().max(500)])
          .default(true)
          .describe('true: the package script `build`; or a command'),
        test: z
          .union([z.boolean(), z.string().max(500)])
          .default(true)
          .describe('true: detected; or a command whose exit code counts'),
        types: z.boolean().default(true),
        lint: z.union([z.boolean(), z.string().max(500)]).default(true),
        secrets: z.literal(true).default(true),
        honesty: z.boolean().default(true),
        coverage: z.boolean().default(true),
        mutation: z.boolean().default(true),
        newTests: z.boolean().default(true),
        structure: z.boolean().default(true),
        documentation: z.boolean().default(true),
        dependencies: z.boolean().default(true),
      })
      .prefault({}),
    /** The most that a category can cost, in points, instead of the gate's own; what one finding costs scales with it. */
    weights: z.partialRecord(checkCategory, z.number().int().min(0).max(100)).default({}),
    coverage: z
      .strictObject({
        changedLines: z.number().int().min(0).max(100).default(80).describe('per cent of changed executable lines'),
      })
      .prefault({}),
    complexity: z
      .strictObject({
        warning: z.number().int().min(5).max(200).default(15),
        error: z.number().int().min(5).max(500).default(30),
      })
      .prefault({})
      .describe('paths through one function, from which on it costs points'),
    /** Imports from files that match `from` to files that match `to` cost points from now on. */
    imports: z
      .array(
        z.strictObject({
          from: z.string().min(1).max(300),
          to: z.string().min(1).max(300),
          because: z.string().min(1).max(500),
        }),
      )
      .max(100)
      .default([]),
    licences: z
      .strictObject({
        deny: z
          .array(z.string().max(100))
          .max(100)
          .default(['AGPL-*', 'GPL-*', 'SSPL-*', 'BUSL-*', 'UNLICENSED'])
          .describe('SPDX ids, * for any ending'),
      })
      .prefault({}),
    performance: performancePolicy.prefault({}),
    enforcer: enforcerPolicy.prefault({}),
    /** Tests known to fail now and then. Each has somebody who mends it, and a day after which it is no excuse any more. */
    flaky: z
      .array(
        z.strictObject({
          test: z.string().min(1).max(1000),
          owner: z.string().min(1).max(200),
          until: z.iso.date(),
        }),
      )
      .max(200)
      .default([]),
    /** Globs that, like `muster.yaml` itself, only a person may let a change touch. */
    protected: z.array(z.string().max(300)).max(100).default([]),
    /** Checks whose `not_run` refuses the change. */
    required: z.array(z.string().max(100)).max(50).default(['tests', 'secrets', 'tampering']),
    timeoutSeconds: z.number().int().min(5).max(3600).default(600),
    /** A command that is run, in the sandbox, on what has landed; if it fails the landing is rolled back. */
    postLanding: z.string().max(1000).optional(),
    landing: landingPolicy.prefault({}),
    review: reviewPolicy.prefault({}),
    /** What is not written but made: where it conflicts, it is made anew. In the order in which it is made. */
    generated: z.array(generatedRule).max(20).default([]),
  })
  .meta({ id: 'ProjectPolicy' });
export type ProjectPolicy = z.infer<typeof projectPolicy>;

/** A check that the operator adds for every project: a program that is run in the sandbox, or a package on the verifier's machine. */
export const extraCheck = z.strictObject({
  name: z.string().regex(/^[a-z][a-z0-9-]{1,60}$/),
  category: checkCategory,
  /** A program with its arguments, run in the sandbox; `{tool}` stands for the folder named by `tool` as it is seen there. */
  command: z.array(z.string().max(4096)).min(1).max(50).optional(),
  /** A folder of the verifier's machine that the program needs, mounted read-only. */
  tool: z.string().startsWith('/').max(4096).optional(),
  /** An npm package, or the absolute path of a module, whose default export is a check. Trusted: it runs in the verifier. */
  package: z.string().min(1).max(4096).optional(),
  timeoutSeconds: z.number().int().min(1).max(3600).default(120),
  /** false: its findings may cost points and never refuse by themselves. */
  mayVeto: z.boolean().default(false),
});
export type ExtraCheck = z.infer<typeof extraCheck>;

/** What the operator of the server asks of every project, whatever its `muster.yaml` says. */
export const gatePolicy = z
  .strictObject({
    checks: z
      .array(extraCheck)
      .max(50)
      .default([])
      .refine(
        (checks) => checks.every((each) => (each.command === undefined) !== (each.package === undefined)),
        'a check has either a command or a package',
      )
      .refine((checks) => new Set(checks.map((each) => each.name)).size === checks.length, 'names of checks differ'),
    /** Checks that must have passed on every project. */
    required: z.array(z.string().max(100)).max(50).default([]),
    /** The most recent knowledge about vulnerable versions; without one, the check for them says `not_run`. */
    advisories: z
      .discriminatedUnion('provider', [
        z.strictObject({ provider: z.literal('npm'), url: z.url(), maxAgeDays: z.number().min(0).default(7) }),
        z.strictObject({ provider: z.literal('osv'), url: z.url(), maxAgeDays: z.number().min(0).default(7) }),
        z.strictObject({
          provider: z.literal('file'),
          path: z.string().startsWith('/'),
          maxAgeDays: z.number().min(0).default(7),
        }),
      ])
      .optional(),
    /** Mixed into what is drawn by lot, so that nobody outside can foresee which functions and mutants are tried. */
    seed: z.string().max(200).default(''),
  })
  .meta({ id: 'GatePolicy' });
export type GatePolicy = z.infer<typeof gatePolicy>;

/** What whoever hands a change in says about it. It raises what is asked of the change; it proves nothing. */
export const declaredWork = z.object({
  title: z.string().max(2000).nullable().default(null),
  /** Globs that the task keeps its work to; null: it names none. */
  paths: z.array(z.string().max(300)).max(200).nullable().default(null),
});
export type DeclaredWork = z.infer<typeof declaredWork>;

export const verificationPurposes = ['base', 'admission', 'landing', 'revert', 'post_landing'] as const;

/** The input of a `muster.verify` task. Trees are fetched from GET /api/verifications/{id}/trees/{tree}. */
export const verifyInput = z.object({
  verificationId: idOf('verification'),
  purpose: z.enum(verificationPurposes),
  candidateTree: objectId,
  baseTree: objectId.nullable(),
  /** For a revert: the tree before the landing that it takes back; what is gone since then may go. */
  restoresTree: objectId.nullable(),
  policy: projectPolicy,
  rulesDigest: z.string(),
  /** The person who handed the change in and thereby lets it touch what decides how changes are judged; null for agents' work. */
  approvedBy: z.string().max(500).nullable().default(null),
  declared: declaredWork.prefault({}),
  server: gatePolicy.omit({ seed: true }).prefault({}),
  /** What lots are drawn with: the same for the same question, and known to nobody before the change is handed in. */
  draw: z.string().max(200).default(''),
  /** Checks for which nothing seen before may stand. */
  fresh: z.array(z.string().max(100)).max(100).default([]),
});
export type VerifyInput = z.infer<typeof verifyInput>;

export const verdict = z.enum(['accepted', 'rejected']);
export const lostPoints = z.object({
  category: z.string(),
  points: z.number(),
  rule: z.string(),
  path: z.string().nullable(),
  line: z.number().nullable(),
  remedy: z.string().nullable(),
});
/** Where a change stays below what its project insists on. */
export const breach = z.object({
  rule: z.enum(['coverage', 'placeholders', 'critical_paths']),
  message: z.string().max(2000),
  paths: z.array(z.string()).max(100),
});
export type Breach = z.infer<typeof breach>;

export const verificationView = z
  .object({
    id: idOf('verification'),
    projectId: idOf('project'),
    purpose: z.enum(verificationPurposes),
    subjectId: z.string().nullable().describe('the submission or landing that asked'),
    candidateTree: objectId,
    baseTree: objectId.nullable(),
    approvedBy: z
      .string()
      .nullable()
      .describe('the person who let the change touch what judges changes; null: nobody did'),
    state: z.enum(['pending', 'running', 'finished']),
    verdict: verdict.nullable(),
    evidence: z
      .boolean()
      .nullable()
      .describe('false: it did not come about, and its refusal says nothing about the change'),
    score: z.number().nullable(),
    threshold: z.number(),
    required: z.array(z.string()).describe('checks that had to pass, by the rules and for this purpose'),
    reasons: z.array(z.string()).describe('why it was refused, the weightiest first; empty when accepted'),
    lost: z.array(lostPoints),
    breaches: z
      .array(breach)
      .describe('what the project insists on and this change has not; by its policy refused, or shown to a maintainer'),
    firstLook: firstLook.nullable().describe('what a first look showed, while the whole goes on; null: not yet'),
    facts: verificationFacts.nullable(),
    taskId: idOf('task').nullable(),
    rerunOf: idOf('verification').nullable().optional().describe('the one that this runs again'),
    supersededBy: idOf('verification').nullable().optional().describe('the one that was run in its place'),
    createdAt: timestamp,
    finishedAt: timestamp.nullable(),
  })
  .meta({ id: 'Verification' });
export type VerificationView = z.infer<typeof verificationView>;
