import { MusterError } from '#kernel';

export class NoForge extends MusterError {
  constructor() {
    super('forges.none', 404, 'The project is on no forge. Name one with PUT /api/projects/{projectId}/forge.');
  }
}
export class AccountUnknown extends MusterError {
  constructor(account: string, repository: string) {
    super(
      'forges.account_unknown',
      422,
      `The server has no forge account "${account}" that may be used for ${repository}. The operator lists accounts and their repositories in MUSTER_FORGES.`,
      { data: { account, repository } },
    );
  }
}
export class NoSuchRequest extends MusterError {
  constructor(requestId: string) {
    super(
      'forges.no_such_request',
      404,
      `The project has no request ${requestId}. GET /api/projects/{projectId}/forge/requests lists those that there are.`,
      { data: { requestId } },
    );
  }
}
export class ChecksNeedApp extends MusterError {
  constructor(account: string) {
    super(
      'forges.checks_need_app',
      422,
      `Check runs are made by GitHub Apps only, and "${account}" is none. Leave out \`checks\`, or ask the operator for an account with an \`app\`.`,
      { data: { account } },
    );
  }
}
/** The same for a forge that is not known, one without a secret, and a signature that is wrong. */
export class WebhookRefused extends MusterError {
  constructor() {
    super(
      'forges.webhook_refused',
      401,
      'The webhook is not signed with the secret of this address. Make one with POST /api/projects/{projectId}/forge/secret, and enter it at the forge.',
    );
  }
}
export class WebhookUnreadable extends MusterError {
  constructor(why: string) {
    super('forges.webhook_unreadable', 400, `${why} Choose the content type application/json at the forge.`);
  }
}
/** What a forge answered, or that it did not. */
export class ForgeFailed extends Error {
  constructor(
    message: string,
    /** False: asking again as it is brings the same answer. */
    readonly passing: boolean,
    /** How long it asks to be left alone. */
    readonly pauseMs: number | null = null,
    /** What it answered with; null: nothing. */
    readonly status: number | null = null,
  ) {
    super(message);
    this.name = 'ForgeFailed';
  }
}
