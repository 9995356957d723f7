import { z } from 'zod';
import { branchName, idOf, objectId, timestamp } from './ids.ts';
import { landingStates, rollbackForecast, submissionState } from './submissions.ts';
import { conflictHunk } from './tasks.ts';

export const incidentStates = ['open', 'waiting_person', 'resolved'] as const;
/** Everything about what has to come out again, and why: one record from the first suspicion to the reopened work. */
export const incident = z
  .object({
    id: idOf('incident'),
    projectId: idOf('project'),
    branch: branchName,
    state: z.enum(incidentStates).describe('waiting_person: a revert does not come in by itself'),
    cause: z.enum(['person', 'post_landing_check']),
    reason: z.string(),
    requestedBy: z.string(),
    /** In the order in which they come out: the newest first. */
    landings: z.array(
      z.object({
        landingId: idOf('landing'),
        commit: objectId,
        subject: z.string(),
        taskId: idOf('task').nullable(),
        state: z.enum(landingStates),
        skipped: z.boolean().describe('later landings had undone it already'),
        postLanding: z.enum(['none', 'pending', 'passed', 'failed', 'not_run']),
        postVerificationId: idOf('verification').nullable(),
        revert: z
          .object({
            submissionId: idOf('submission'),
            state: submissionState,
            conflicts: z.array(conflictHunk),
            reasons: z.array(z.string()),
            landingId: idOf('landing').nullable(),
          })
          .nullable()
          .describe('the last revert of it'),
        followUpTaskId: idOf('task').nullable(),
      }),
    ),
    /** What was to be expected when it was opened. */
    forecast: z.object({
      paths: z.array(z.string()).describe('what comes out'),
      conflicts: z.array(z.string()).describe('paths in which later work stands in the way'),
      dependents: rollbackForecast.shape.dependents,
      openWork: rollbackForecast.shape.openWork,
    }),
    openedAt: timestamp,
    resolvedAt: timestamp.nullable(),
  })
  .meta({ id: 'Incident' });
export type Incident = z.infer<typeof incident>;

/** Several landings that come out together: named one by one, or as all from one to another. */
export const openIncident = z
  .strictObject({
    landings: z.array(idOf('landing')).min(1).max(50).optional(),
    range: z.strictObject({ from: idOf('landing'), to: idOf('landing') }).optional(),
    reason: z.string().min(1).max(2000),
  })
  .refine(({ landings, range }) => (landings === undefined) !== (range === undefined), 'name landings or a range')
  .meta({ id: 'OpenIncident' });
export type OpenIncident = z.infer<typeof openIncident>;
