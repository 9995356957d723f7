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
