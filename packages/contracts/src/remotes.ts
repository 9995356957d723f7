import { z } from 'zod';
import { branchName, idOf, objectId, timestamp } from './ids.ts';

/** `from`: what appears on the remote's branch is handed in here. `to`: what lands here is pushed there. */
export const remoteDirection = z.enum(['from', 'to']);

/** PUT /api/projects/{projectId}/remotes/{direction}. Credentials are the operator's: an address never holds any. */
export const setRemote = z
  .strictObject({
    url: z.url().max(2000).describe('https://, ssh:// or file://'),
    branch: branchName.optional().describe('on the remote; default: the name of the project’s branch'),
  })
  .meta({ id: 'SetRemote' });
export const remoteView = z
  .object({
    projectId: idOf('project'),
    direction: remoteDirection,
    url: z.string(),
    branch: branchName,
    state: z
      .enum(['new', 'in_step', 'diverged', 'failing'])
      .describe('diverged: its history and ours cannot follow one another any more, and a person has to look'),
    /** The last commit that was taken from it or pushed to it. */
    commit: objectId.nullable(),
    /** What the last commit from it was handed in as. */
    submissionId: idOf('submission').nullable(),
    problem: z.string().nullable(),
    triedAt: timestamp.nullable(),
    inStepAt: timestamp.nullable(),
  })
  .meta({ id: 'Remote' });
export type RemoteView = z.infer<typeof remoteView>;
