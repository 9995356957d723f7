import { idPrefixes, type IdKind } from '@muster/contracts';
import { typeid } from 'typeid-js';

/** New ids: a UUIDv7 as a TypeID, `task_01jd9…`. Injected, so that a test can own them. */
export abstract class Ids {
  abstract next(kind: IdKind): string;
}

export class SystemIds extends Ids {
  next(kind: IdKind): string {
    return typeid(idPrefixes[kind]).toString();
  }
}
