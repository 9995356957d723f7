import type { GatePolicy } from '@muster/contracts';
import { readFileSync, statSync } from 'node:fs';
import semver from 'semver';
import { z } from 'zod';

export interface Advisory {
  id: string;
  name: string;
  version: string;
  severity: 'low' | 'moderate' | 'high' | 'critical';
  title: string;
}
export interface Advice {
  advisories: Advisory[];
  /** Days since the knowledge was gathered; 0 where it was asked for now. */
  ageDays: number;
  source: string;
}
export interface PackageVersion {
  name: string;
  version: string;
}

/** It could not be asked, or did not answer what it should: nothing is known, which is not the same as nothing being wrong. */
export class AdvisoriesUnreachable extends Error {
  override readonly name = 'AdvisoriesUnreachable';
}

const severity = z.preprocess(
  (given) =>
    given === 'medium' || given === 'MODERATE' ? 'moderate' : typeof given === 'string' ? given.toLowerCase() : given,
  z.enum(['low', 'moderate', 'high', 'critical']).catch('moderate'),
);
/** As npm's bulk endpoint answers, and as an offline file holds under `npm`. */
const bulk = z.record(
  z.string(),
  z.array(
    z.object({
      id: z.union([z.number(), z.string()]).default('?'),
      url: z.string().optional(),
      title: z.string().default(''),
      severity,
      vulnerable_versions: z.string(),
    }),
  ),
);
const offline = z.object({ fetchedAt: z.iso.datetime({ offset: true }).optional(), npm: bulk });
const osvBatch = z.object({ results: z.array(z.object({ vulns: z.array(z.object({ id: z.string() })).optional() })) });
const osvVulnerability = z.object({
  summary: z.string().optional(),
  details: z.string().optional(),
  database_specific: z.object({ severity: z.string().optional() }).optional(),
});

const applying = (known: z.infer<typeof bulk>, packages: readonly PackageVersion[]): Advisory[] =>
  packages.flatMap(({ name, version }) =>
    (known[name] ?? [])
      .filter((each) => semver.satisfies(version, each.vulnerable_versions, { includePrerelease: true }))
      .map((each) => ({
        id: each.url?.split('/').at(-1) ?? String(each.id),
        name,
        version,
        severity: each.severity,
        title: each.title,
      })),
  );

async function ask(url: string, body: unknown, signal: AbortSignal | undefined): Promise<unknown> {
  const timeout = AbortSignal.timeout(20_000);
  try {
    const answer = await fetch(url, {
      method: body === undefined ? 'GET' : 'POST',
      redirect: 'error',
      signal: signal === undefined ? timeout : AbortSignal.any([signal, timeout]),
      ...(body === undefined ? {} : { body: JSON.stringify(body), headers: { 'content-type': 'application/json' } }),
    });
    if (!answer.ok) throw new AdvisoriesUnreachable(`${new URL(url).host} answered ${answer.status}`);
    return await answer.json();
  } catch (error) {
    signal?.throwIfAborted();
    if (error instanceof AdvisoriesUnreachable) throw error;
    throw new AdvisoriesUnreachable(
      `${new URL(url).host} could not be asked: ${error instanceof Error ? error.message : String(error)}`,
    );
  }
}

const parsed = <T>(schema: z.ZodType<T>, document: unknown, who: string): T => {
  const result = schema.safeParse(document);
  if (!result.success) throw new AdvisoriesUnreachable(`${who} answered something else than advisories`);
  return result.data;
};

/** What is known about these versions, from wherever the operator says. */
export async function adviceOn(
  packages: readonly PackageVersion[],
  source: NonNullable<GatePolicy['advisories']>,
  signal?: AbortSignal,
): Promise<Advice> {
  switch (source.provider) {
    case 'file': {
      let document: unknown;
      try {
        document = JSON.parse(readFileSync(source.path, 'utf8'));
      } catch (error) {
        throw new AdvisoriesUnreachable(
          `${source.path} cannot be read: ${error instanceof Error ? error.message : String(error)}`,
        );
      }
      const file = parsed(offline, document, source.path);
      const gathered = file.fetchedAt === undefined ? statSync(source.path).mtimeMs : Date.parse(file.fetchedAt);
      return {
        advisories: applying(file.npm, packages),
        ageDays: Math.max(0, (Date.now() - gathered) / 86_400_000),
        source: source.path,
      };
    }
    case 'npm': {
      const versions: Record<string, string[]> = {};
      for (const { name, version } of packages) (versions[name] ??= []).push(version);
      const url = `${source.url.replace(/\/$/, '')}/-/npm/v1/security/advisories/bulk`;
      const answer = parsed(bulk, await ask(url, versions, signal), url);
      return { advisories: applying(answer, packages), ageDays: 0, source: new URL(url).host };
    }
    case 'osv': {
      const root = source.url.replace(/\/$/, '');
      const advisories: Advisory[] = [];
      for (let from = 0; from < packages.length; from += 500) {
        const part = packages.slice(from, from + 500);
        const queries = part.map(({ name, version }) => ({ package: { ecosystem: 'npm', name }, version }));
        const { results } = parsed(osvBatch, await ask(`${root}/v1/querybatch`, { queries }, signal), root);
        if (results.length !== part.length) throw new AdvisoriesUnreachable(`${root} answered for other packages`);
        for (const [index, each] of results.entries())
          for (const { id } of each.vulns ?? []) {
            const about = parsed(
              osvVulnerability,
              await ask(`${root}/v1/vulns/${encodeURIComponent(id)}`, undefined, signal),
              root,
            );
            advisories.push({
              ...part[index]!,
              id,
              severity: severity.parse(about.database_specific?.severity),
              title: about.summary ?? about.details?.slice(0, 200) ?? '',
            });
          }
      }
      return { advisories, ageDays: 0, source: new URL(root).host };
    }
  }
}
