/**
 * Takes attempts that are over, as `gone`, from what runs and from what is still offered; by their keys, whatever the planner believes. Both are to be
 * counted by who uses them: what nobody asks for is done last of all, and would wait under the log's lock for whoever claims what was offered.
 */
export const goneFromTheQueue = `closed as (
    delete from task_running r where r.task_id = any (array(select task_id from gone)) returning 1
  ),
  unoffered as (
    delete from task_ready q
    where q.lane = any (array(select -lane from gone where ready_seq is not null))
      and q.seq = any (array(select ready_seq from gone where ready_seq is not null))
    returning 1
  )`;
export const countOfGone = `(select count(*) from closed) + (select count(*) from unoffered)`;

/** Of what was given, by event: what is there, and locked by somebody else at this moment. */
export const busyOf = `(
    select string_agg(i."eventId", ',') from given i
    where (select count(*) from gone) < (select count(*) from given) and i."eventId" <> all (array(select "eventId" from gone))
      and exists (select from task_running r where r.task_id = i."taskId" and r.fence = i.fence and r.holder_id = i."actorId" offset 0)
  )`;

/**
 * True of every fence, for they are positive. But the planner, who takes what it is given for a hundred rows, takes them for one then, and meets
 * what they are joined with by its key; also in a plan that was made while that table was empty, and would read all of it ever after.
 */
export const looksLikeOne = (fence: string): string => `${fence} = abs(${fence})`;
