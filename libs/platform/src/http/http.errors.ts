import { type FieldError, MusterError } from '#kernel';

export class NotAuthenticated extends MusterError {
  constructor() {
    super(
      'request.not_authenticated',
      401,
      'Send a valid access token or API key as "Authorization: Bearer <credential>".',
    );
  }
}
export class NotAllowed extends MusterError {
  constructor(permission: string) {
    super('request.not_allowed', 403, `This needs the permission ${permission}. Ask an owner of the team for it.`, {
      data: { permission },
    });
  }
}
/** For what does not exist and for what belongs to somebody else: nobody can tell the two apart. */
export class NotFound extends MusterError {
  constructor(message = 'There is nothing here that you can see. Check the address and the ids in it.') {
    super('request.not_found', 404, message);
  }
}
export class InvalidRequest extends MusterError {
  constructor(errors: readonly FieldError[]) {
    super('request.invalid', 400, 'The request does not have the expected shape; correct the fields named in errors.', {
      errors,
    });
  }
}
export class PreconditionFailed extends MusterError {
  constructor() {
    super(
      'request.precondition_failed',
      412,
      'It was changed since you read it. Read it again and repeat the change with its new ETag.',
    );
  }
}
export class IdempotencyKeyReused extends MusterError {
  constructor() {
    super(
      'request.idempotency_key_reused',
      422,
      'This Idempotency-Key was used for another request. Use a new key for a new request.',
    );
  }
}
/** Between the work and whoever keeps its answers: the key was used before, for something else than there is. */
export class KeyTaken extends Error {
  override readonly name = 'KeyTaken';
}

export class RequestInProgress extends MusterError {
  constructor() {
    super(
      'request.in_progress',
      409,
      'The first request with this Idempotency-Key is still running. Ask again in a moment.',
    );
  }
}
export class Draining extends MusterError {
  constructor() {
    super('server.draining', 503, 'This server is stopping. Try again in a moment.');
  }
}

export class SubscriptionInvalid extends MusterError {
  constructor(errors: readonly FieldError[]) {
    super(
      'request.subscription_invalid',
      400,
      'Send one JSON message {"type":"subscribe"} with the fields that this socket takes; correct those named in errors.',
      { errors },
    );
  }
}
export class SubscribedAlready extends MusterError {
  constructor() {
    super(
      'request.subscribed_already',
      409,
      'A socket takes one subscription. Open another connection for another one.',
    );
  }
}
export class SubscriptionLate extends MusterError {
  constructor() {
    super(
      'request.subscription_late',
      408,
      'No subscription came in time. Connect again and send {"type":"subscribe"} first.',
    );
  }
}
