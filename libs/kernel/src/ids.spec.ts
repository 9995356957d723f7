import { describe, expect, it } from '@jest/globals';
import { idOf, idPrefixes, type IdKind } from '@muster/contracts';
import { TypeID } from 'typeid-js';
import { SystemIds } from './ids.ts';

describe('ids', () => {
  const ids = new SystemIds();

  it.each(Object.keys(idPrefixes) as IdKind[])('of a %s are TypeIDs of a UUIDv7 of this moment', (kind) => {
    const before = Date.now();
    const id = ids.next(kind);
    expect(idOf(kind).safeParse(id).success).toBe(true);
    const uuid = TypeID.fromString(id).toUUID();
    expect(uuid).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
    const at = Number.parseInt(uuid.replaceAll('-', '').slice(0, 12), 16);
    expect(at).toBeGreaterThanOrEqual(before);
    expect(at).toBeLessThanOrEqual(Date.now() + 1);
  });

  it('are all different, and in the order in which they were made', () => {
    const many = Array.from({ length: 50_000 }, () => ids.next('task'));
    expect(new Set(many).size).toBe(many.length);
    expect([...many].sort()).toEqual(many);
  });
});
