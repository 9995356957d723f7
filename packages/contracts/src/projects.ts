import { z } from 'zod';
import { branchName, capabilityName, idOf, objectId, slug, timestamp } from './ids.ts';
import { agentName } from './definitions.ts';
import { taskState } from './tasks.ts';
import { projectPolicy } from './verification.ts';

/** Empty, or from a git URL or a path that the operator allows. Archives go to POST /api/projects/import as a tar or tar.gz body. */
export const createProject = z
  .strictObject({
    name: z.string().min(1).max(200),
    slug: slug.optional(),
    branch: branchName.optional().describe('default: main; with a source its default branch'),
    source: z
      .union([z.strictObject({ url: z.url().max(2000) }), z.strictObject({ path: z.string().min(1).max(4096) })])
      .optional(),
  })
  .meta({ id: 'CreateProject' });

export const assignmentView = z
  .object({
    id: idOf('assignment'),
    projectId: idOf('project'),
    agent: agentName,
    versionRange: z.string(),
    version: z.string(),
    capabilities: z.array(capabilityName),
    createdAt: timestamp,
  })
  .meta({ id: 'Assignment' });
export const assignAgent = z
  .strictObject({
    agent: agentName,
    version: z.string().max(100).default('*'),
    capabilities: z.array(capabilityName).min(1).max(100),
  })
  .meta({ id: 'AssignAgent' });

/** A task as a project's page shows it. */
export const operation = z.object({
  taskId: idOf('task'),
  capability: capabilityName,
  title: z.string().nullable(),
  state: taskState,
  agent: z.string().nullable(),
  createdAt: timestamp,
  finishedAt: timestamp.nullable(),
});
export type Operation = z.infer<typeof operation>;

export const projectView = z
  .object({
    id: idOf('project'),
    teamId: idOf('team'),
    name: z.string(),
    slug,
    branch: branchName,
    head: objectId.nullable(),
    gitPath: z.string().describe('path below the server URL to clone from and push to'),
    createdAt: timestamp,
  })
  .meta({ id: 'Project' });
export type ProjectView = z.infer<typeof projectView>;
export const projectDetail = projectView
  .extend({
    policy: projectPolicy,
    policySource: z.enum(['muster.yaml', 'default']),
    policyProblem: z
      .string()
      .nullable()
      .describe('what is wrong with muster.yaml on the head, when the defaults are in force for that'),
    agent_metadata: z.object({
      assigned_agents: z.array(assignmentView),
      capability_requirements: z.array(
        z.object({ capability: capabilityName, agents: z.array(agentName), open_tasks: z.number().int() }),
      ),
      operation_history: z.array(operation),
    }),
  })
  .meta({ id: 'ProjectDetail' });

export type ProjectDetail = z.infer<typeof projectDetail>;
export type AssignmentView = z.infer<typeof assignmentView>;

/** Only the name: slug, branch and repository stay what clients have written down. */
export const updateProject = z.strictObject({ name: z.string().min(1).max(200) }).meta({ id: 'UpdateProject' });

/** The query of POST /api/projects/import; the body is the archive. `strip` takes that many folders off the front of each path. */
export const importProject = z.strictObject({
  name: z.string().min(1).max(200),
  slug: slug.optional(),
  branch: branchName.default('main'),
  strip: z.coerce.number().int().min(0).max(10).default(0),
});

export const policyView = z
  .object({ policy: projectPolicy, source: z.enum(['muster.yaml', 'default']), problem: z.string().nullable() })
  .meta({ id: 'Policy' });
export type PolicyView = z.infer<typeof policyView>;

/** POST /api/projects/{projectId}/capabilities/{capability}/execute */
export const executeCapability = z
  .strictObject({
    input: z.record(z.string(), z.json()).default({}),
    title: z.string().min(1).max(300).optional(),
    agent: agentName.optional(),
    /** Only versions of that agent in this range. */
    agentVersion: z.string().min(1).max(100).optional(),
    /** Wait up to this long for the task to end before answering with it as it stands. */
    waitSeconds: z.number().min(0).max(60).default(0),
  })
  .meta({ id: 'ExecuteCapability' });
