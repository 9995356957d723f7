import { describe, expect, it } from '@jest/globals';
import { isNestedTooDeep, maxNesting } from './nesting.ts';

const nested = (depth: number, open: string, close: string): unknown =>
  JSON.parse(open.repeat(depth) + '1' + close.repeat(depth));

describe('nesting', () => {
  it('is allowed up to the limit', () => {
    expect(isNestedTooDeep(nested(maxNesting, '[', ']'))).toBe(false);
    expect(isNestedTooDeep(nested(maxNesting, '{"a":', '}'))).toBe(false);
    expect(isNestedTooDeep({ a: [1, null, 'x'], b: undefined })).toBe(false);
  });

  it('is refused beyond it, however deep, without exhausting the stack', () => {
    expect(isNestedTooDeep(nested(maxNesting + 1, '[', ']'))).toBe(true);
    expect(isNestedTooDeep(nested(500_000, '{"a":[', ']}'))).toBe(true);
  });
});
