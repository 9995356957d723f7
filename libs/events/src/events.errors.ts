import { MusterError } from '#kernel';

export class TypeReserved extends MusterError {
  constructor(type: string) {
    super(
      'events.type_reserved',
      422,
      `Events of the type ${type} are told by Muster itself. Choose a first word of your own, like issue.opened or build.finished.`,
      { data: { type } },
    );
  }
}

export class EventTooLarge extends MusterError {
  constructor(bytes: number, limit: number) {
    super(
      'events.too_large',
      413,
      `The data of an event may have ${limit} bytes as JSON; this has ${bytes}. Put the content elsewhere and send its address.`,
      { data: { bytes, limit } },
    );
  }
}

export class SubscriptionInvalid extends MusterError {
  constructor(errors: readonly { path: string; message: string }[]) {
    super(
      'events.subscription_invalid',
      400,
      'Send one JSON message {"type":"subscribe"}, with projectId, types and after where you want them.',
      {
        errors,
      },
    );
  }
}

export class SubscribedAlready extends MusterError {
  constructor() {
    super(
      'events.subscribed_already',
      409,
      'A stream takes one subscription. Open another connection for another one.',
    );
  }
}

export class SubscriptionLate extends MusterError {
  constructor() {
    super(
      'events.subscription_late',
      408,
      'No subscription came in time. Connect again and send {"type":"subscribe"} first.',
    );
  }
}

export class PositionGone extends MusterError {
  constructor(after: number, oldest: number) {
    super(
      'events.position_gone',
      410,
      `Events after position ${after} are not kept any more; the oldest is ${oldest}. Read what you need from the resources themselves, then go on with after=${oldest - 1}.`,
      { data: { after, oldest } },
    );
  }
}
