/**
 * What crosses Muster's wire. Schemas are zod 4; each exported type is the parsed shape. Nothing here depends on the
 * server, so an agent, a CLI or a test can check exactly what the server checks.
 */
export { idPrefixes, idOf, objectId, branchName, repositoryPath, timestamp, capabilityName, slug, jsonObject, pageOf, pageQuery, type IdKind } from './ids.ts';
export { problem, type Problem } from './problem.ts';
export { permissions, permission, roles, role, login, tokens, refresh, createApiKey, apiKeyView, apiKeyCreated, whoAmI, newPassword, changePassword, addUser, setRole, userView, createTeam, teamView, type Permission, type Role, type UserView, type TeamView, type ApiKeyView, type ApiKeyCreated, type Tokens, type WhoAmI } from './auth.ts';
export {
  createProject, importProject, updateProject, projectView, projectDetail, policyView, assignAgent, assignmentView, operation, executeCapability,
  type AssignmentView, type Operation, type PolicyView, type ProjectDetail, type ProjectView,
} from './projects.ts';
export { agentDefinition, agentName, agentView, agentVersionView, agentVersionState, registerAgent, importAgents, agentTemplate, triggeredAgent, skill, trigger, duration, type AgentDefinition, type AgentVersionView } from './definitions.ts';
export { cloudEvent, eventType, publishEvent, streamSubscribe, streamMessage, type CloudEvent, type StreamMessage } from './events.ts';
export {
  taskStates, taskState, taskWait, waitReasons, priorities, priority, attemptOutcomes, attemptLesson, attemptView, conflictHunk, rework, createTask, taskView, taskDetail,
  type TaskState, type Priority, type ConflictHunk, type Rework, type CreateTask, type TaskView, type TaskDetail,
} from './tasks.ts';
export {
  heartbeatSeconds, assignmentMessage, agentMessage, agentFrame, serverMessage, serverFrame, progressBody, logBody, costBody, checkpointBody, completeBody, failBody, releaseBody,
  type TaskAssignment, type AgentMessage, type ServerMessage,
} from './protocol.ts';
export {
  checkStatuses, checkStatus, findingLevels, finding, testCaseStatus, testCase, checkFacts, verificationFacts, projectPolicy, verificationPurposes, verifyInput, verdict, lostPoints, verificationView,
  type Finding, type TestCase, type CheckFacts, type VerificationFacts, type ProjectPolicy, type VerifyInput, type VerificationView,
} from './verification.ts';
export {
  submissionStates, submissionState, fileChange, createSubmission, approver, submissionView, landingStates, landingView, rollbackLanding, auditReport,
  type Approver, type CreateSubmission, type SubmissionView, type LandingView, type AuditReport,
} from './submissions.ts';
export { instanceStates, instanceView, type InstanceView } from './instances.ts';
