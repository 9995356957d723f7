import type { VerificationFacts } from '@muster/contracts';
import { GATE_VERSION } from './version.ts';

/** The findings as SARIF 2.1.0, one run per check, for code scanning pages and editors. */
export function toSarif(facts: VerificationFacts): Record<string, unknown> {
  return {
    $schema: 'https://json.schemastore.org/sarif-2.1.0.json',
    version: '2.1.0',
    runs: facts.checks.map((check) => ({
      tool: {
        driver: {
          name: `muster/${check.check}`,
          version: check.tool?.version ?? GATE_VERSION,
          semanticVersion: GATE_VERSION,
          rules: [...new Set(check.findings.map((each) => each.rule))].sort().map((id) => ({ id })),
        },
      },
      automationDetails: { id: `muster/${check.check}/${facts.candidateTree}` },
      invocations: [
        {
          executionSuccessful: check.status === 'passed' || check.status === 'failed',
          exitCodeDescription: `${check.status}: ${check.summary}`,
        },
      ],
      results: check.findings.map((each) => ({
        ruleId: each.rule,
        level: each.level,
        message: { text: each.remedy === null ? each.message : `${each.message}\n${each.remedy}` },
        partialFingerprints: { 'muster/v1': each.fingerprint },
        properties: { veto: each.veto, ...(each.reproduce == null ? {} : { reproduce: each.reproduce }) },
        ...(each.path === null
          ? {}
          : {
              locations: [
                {
                  physicalLocation: {
                    artifactLocation: {
                      uri: each.path.split('/').map(encodeURIComponent).join('/'),
                      uriBaseId: '%SRCROOT%',
                    },
                    ...(each.line === null ? {} : { region: { startLine: each.line } }),
                  },
                },
              ],
            }),
      })),
    })),
  };
}
