/** The gate: checks, their interface, the score and the sandbox drivers. Knows nothing of the server. */
export { GATE_VERSION } from './version.ts';
export { runVerification, toolchainDigest, type VerificationOptions } from './verification.ts';
export {
  chargesOf,
  judge,
  mostPerCategory,
  pointsPerFinding,
  requiredChecks,
  weightOf,
  type Charge,
  type Judgement,
} from './judge.ts';
export { reproduceCommand, shortFingerprint } from './reproduce.ts';
export { breachesOf } from './enforcer.ts';
export { toSarif } from './sarif.ts';
export { lookAtFolder, UnknownBase, UnknownCheck, verifyFolder, type VerifyFolderOptions } from './folder.ts';
export { extractTree, type ExtractLimits } from './source/extract.ts';
export { checks } from './checks/all.ts';
export {
  findingOf,
  outcome,
  type Check,
  type CheckArtefact,
  type Language,
  type CheckContext,
  type CheckOutcome,
  type Purpose,
} from './checks/check.ts';
export {
  detectSandbox,
  sandboxChoices,
  type NamedDrivers,
  type Sandbox,
  type SandboxChoice,
} from './sandbox/detect.ts';
export { kubernetesSettings, type KubernetesSettings } from './sandbox/kubernetes.ts';
export { proveSandbox, type SandboxProof } from './sandbox/proof.ts';
export {
  defaultLimits,
  SandboxError,
  sandboxPaths,
  type SandboxDriver,
  type SandboxLimits,
  type SandboxMount,
  type SandboxResult,
  type SandboxRun,
} from './sandbox/driver.ts';
export { readReport } from './sandbox/report.ts';
export { dependenciesHome } from './project/dependencies.ts';
export { toolCaches } from './project/installed.ts';
export { sbomOf } from './project/lock.ts';
export { mergeLock } from './project/lock-merge.ts';
export { rebuildGenerated } from './project/rebuild.ts';
