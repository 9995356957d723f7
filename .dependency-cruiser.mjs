const features = 'auth|projects|registry|events|runtime|quality|integration|forges';

/** The floors of the house. Each comment reads as the sentence that a builder sees when the rule is broken. */
export default {
  forbidden: [
    {
      name: 'no-circles',
      comment:
        'Files never import each other in a circle, types included: one of the two is standing in the wrong room.',
      severity: 'error',
      from: {},
      to: { circular: true },
    },
    {
      name: 'features-are-strangers',
      comment:
        'A feature room never imports another; the words that two rooms share live below both, in libs/messages.',
      severity: 'error',
      from: { path: `^libs/(${features})/` },
      to: { path: `^libs/(${features})/`, pathNot: '^libs/$1/' },
    },
    {
      name: 'through-the-door',
      comment:
        "Another room is entered through its index.ts (messages and platform: the pipe's own index.ts), never by a side door.",
      severity: 'error',
      from: { path: '^(apps|libs|packages|examples|test)/([^/]+)/' },
      to: {
        path: `^libs/(kernel|observability|${features})/src/(?!index\\.ts$)`,
        pathNot: ['^$1/$2/'],
      },
    },
    {
      name: 'through-the-pipes-door',
      comment: 'A pipe of the platform and a vocabulary of messages are entered through their index.ts.',
      severity: 'error',
      from: { path: '^(apps|libs|packages|examples|test)/([^/]+/src/[^/]+|[^/]+)/' },
      to: { path: '^libs/(platform|messages)/src/[^/]+/(?!index\\.ts$)', pathNot: ['^$1/$2/'] },
    },
    {
      name: 'kernel-stands-on-contracts',
      comment: 'The kernel is plain TypeScript on packages/contracts; it knows no floor above it and no framework.',
      severity: 'error',
      from: { path: '^libs/kernel/' },
      to: { path: ['^libs/(?!kernel/)', '^apps/', '^node_modules/@nestjs/'] },
    },
    {
      name: 'messages-are-plain-data',
      comment:
        'Messages stand on the kernel and contracts: they may name the CQRS base classes and nothing else of the house.',
      severity: 'error',
      from: { path: '^libs/messages/' },
      to: { path: ['^libs/(?!messages/|kernel/)', '^apps/'] },
    },
    {
      name: 'platform-looks-down',
      comment: 'The platform serves every room and knows none of them; it speaks to @opentelemetry/api only.',
      severity: 'error',
      from: { path: '^libs/platform/' },
      to: { path: [`^libs/(observability|${features})/`, '^apps/', '^node_modules/@opentelemetry/(?!api/)'] },
    },
    {
      name: 'observability-looks-down',
      comment: 'Observability wires what stands below it and knows no feature.',
      severity: 'error',
      from: { path: '^libs/observability/' },
      to: { path: [`^libs/(${features})/`, '^apps/'] },
    },
    {
      name: 'rooms-do-not-climb',
      comment: 'Nothing below the apps imports an app.',
      severity: 'error',
      from: { path: '^(libs|packages)/' },
      to: { path: '^apps/' },
    },
    {
      name: 'packages-know-no-libs',
      comment: 'Published packages know nothing of the server: an outsider installs them without it.',
      severity: 'error',
      from: { path: '^packages/' },
      to: { path: '^(libs|apps)/' },
    },
    {
      name: 'outsiders-stand-on-packages',
      comment: 'Agents, the CLI, the examples and the benches use only what an outsider could install.',
      severity: 'error',
      from: { path: '^(apps/(agents|cli)|examples|bench)/' },
      to: { path: '^(libs|apps/server)/' },
    },
    {
      name: 'no-orphans',
      comment: 'A source file that nothing imports and that starts nothing is dead: delete it.',
      severity: 'error',
      from: {
        orphan: true,
        path: '^(libs|packages)/[^/]+/src/',
        pathNot: ['\\.(spec|int-spec)\\.ts$', '/index\\.ts$', '\\.d\\.ts$'],
      },
      to: {},
    },
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    exclude: { path: '(^|/)(dist|node_modules/(?!@nestjs|@opentelemetry))/' },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
    enhancedResolveOptions: {
      conditionNames: ['muster-source', 'import', 'require', 'node', 'default'],
      exportsFields: ['exports'],
    },
  },
};
