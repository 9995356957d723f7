import { MusterError } from '#kernel';

export class LoginFailed extends MusterError {
  constructor() {
    super('auth.login_failed', 401, 'E-mail address or password is wrong. Check both and try again.');
  }
}
export class TooManyAttempts extends MusterError {
  constructor(waitSeconds: number) {
    super('auth.too_many_attempts', 429, `Too many failed attempts. Try again in ${waitSeconds} seconds.`, {
      data: { retryAfterSeconds: waitSeconds },
    });
  }
}
export class RefreshRefused extends MusterError {
  constructor() {
    super('auth.refresh_refused', 401, 'This refresh token is not valid any more. Log in again.');
  }
}
export class WrongPassword extends MusterError {
  constructor() {
    super('auth.wrong_password', 403, 'The current password is wrong. Nothing was changed.');
  }
}
export class PeopleOnly extends MusterError {
  constructor() {
    super('auth.people_only', 403, 'Only a person who logged in can do this, not an API key.');
  }
}
export class MoreThanYouHave extends MusterError {
  constructor(missing: readonly string[]) {
    super(
      'auth.more_than_you_have',
      403,
      `You cannot give or take what you do not have: ${missing.join(', ')}. Ask somebody who has it.`,
      { data: { missing } },
    );
  }
}
export class NotOfThisRole extends MusterError {
  constructor(role: string, extra: readonly string[]) {
    super(
      'auth.not_of_this_role',
      422,
      `The role ${role} does not have ${extra.join(', ')}. Choose another role or leave these out.`,
      { data: { role, extra } },
    );
  }
}
export class AlreadyExpired extends MusterError {
  constructor() {
    super('auth.already_expired', 422, 'expiresAt is in the past. Choose a moment that is still to come.');
  }
}
export class EmailTaken extends MusterError {
  constructor() {
    super('auth.email_taken', 409, 'Somebody has this e-mail address already. Use another one.');
  }
}
export class SlugTaken extends MusterError {
  constructor() {
    super('auth.slug_taken', 409, 'There is a team of this slug already. Use another one.');
  }
}
export class LastOwner extends MusterError {
  constructor() {
    super('auth.last_owner', 409, 'A team needs an owner. Make somebody else an owner first.');
  }
}
export class OwnersOfProjects extends MusterError {
  constructor() {
    super('auth.no_project_owners', 422, 'A project has no owner of its own: the team has. Use maintainer or less.');
  }
}
export class OperatorsOnly extends MusterError {
  constructor() {
    super('auth.operators_only', 403, 'Only owners of the team "default" can open other teams. Ask one of them.');
  }
}
