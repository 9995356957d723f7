import type { ProjectPolicy, VerifyInput } from '@muster/contracts';
import { randomBytes } from 'node:crypto';
import { mkdirSync, mkdtempSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

/** Files below a folder, under the name of a tree that nobody has verified yet. */
export interface PlantedTree {
  readonly dir: string;
  readonly tree: string;
}

export function plantTree(root: string, files: Readonly<Record<string, string | Buffer>>): PlantedTree {
  const dir = mkdtempSync(join(root, 'tree-'));
  for (const [path, content] of Object.entries(files)) {
    mkdirSync(dirname(join(dir, path)), { recursive: true });
    writeFileSync(join(dir, path), content);
  }
  return { dir, tree: randomBytes(20).toString('hex') };
}

/** What a verification is asked about a change that is handed in. */
export const admissionOf = (
  candidate: PlantedTree,
  base: PlantedTree,
  more: { policy: ProjectPolicy } & Partial<VerifyInput>,
) => ({
  candidateDir: candidate.dir,
  baseDir: base.dir,
  restoresDir: null,
  input: {
    purpose: 'admission' as const,
    candidateTree: candidate.tree,
    baseTree: base.tree,
    restoresTree: null,
    rulesDigest: 'rules',
    ...more,
  },
});
