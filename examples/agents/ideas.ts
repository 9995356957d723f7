/** Small, complete pieces of work that a scripted author can add to any project: a function and what it must answer. */
export interface Idea {
  /** In camelCase; Python gets snake_case. */
  readonly name: string;
  readonly about: string;
  readonly parameters: ReadonlyArray<readonly [name: string, type: 'number' | 'string']>;
  readonly result: 'number' | 'string' | 'boolean';
  /** The body's lines, indented by two spaces for each level inside it. */
  readonly javascript: readonly string[];
  readonly python: readonly string[];
  readonly cases: ReadonlyArray<{
    readonly says: string;
    readonly given: ReadonlyArray<number | string>;
    readonly answer: number | string | boolean;
  }>;
}

export const ideas = {
  clamp: {
    name: 'clampToRange',
    about: 'Keeps a number within a range.',
    parameters: [
      ['value', 'number'],
      ['low', 'number'],
      ['high', 'number'],
    ],
    result: 'number',
    javascript: ['if (value < low) return low;', 'if (value > high) return high;', 'return value;'],
    python: ['if value < low:', '    return low', 'if value > high:', '    return high', 'return value'],
    cases: [
      { says: 'keeps what is inside', given: [5, 0, 10], answer: 5 },
      { says: 'raises what is below', given: [-3, 0, 10], answer: 0 },
      { says: 'lowers what is above', given: [12, 0, 10], answer: 10 },
    ],
  },
  divisor: {
    name: 'greatestCommonDivisor',
    about: 'The greatest number that divides both.',
    parameters: [
      ['left', 'number'],
      ['right', 'number'],
    ],
    result: 'number',
    javascript: [
      'let larger = Math.abs(left);',
      'let smaller = Math.abs(right);',
      'while (smaller !== 0) {',
      '  const rest = larger % smaller;',
      '  larger = smaller;',
      '  smaller = rest;',
      '}',
      'return larger;',
    ],
    python: [
      'larger, smaller = abs(left), abs(right)',
      'while smaller != 0:',
      '    larger, smaller = smaller, larger % smaller',
      'return larger',
    ],
    cases: [
      { says: 'finds what both share', given: [84, 36], answer: 12 },
      { says: 'ignores signs', given: [-9, 6], answer: 3 },
      { says: 'takes zero as divisible by all', given: [0, 7], answer: 7 },
    ],
  },
  initials: {
    name: 'initialsOf',
    about: 'The first letters of the words of a name, in capitals.',
    parameters: [['text', 'string']],
    result: 'string',
    javascript: [
      "let initials = '';",
      "for (const word of text.split(' ')) initials += word.charAt(0).toUpperCase();",
      'return initials;',
    ],
    python: ["return ''.join(word[0].upper() for word in text.split(' ') if word)"],
    cases: [
      { says: 'takes one letter of each word', given: ['ada lovelace'], answer: 'AL' },
      { says: 'skips double spaces', given: ['grace  hopper'], answer: 'GH' },
    ],
  },
  repeats: {
    name: 'countOccurrences',
    about: 'How often one text stands in another.',
    parameters: [
      ['text', 'string'],
      ['part', 'string'],
    ],
    result: 'number',
    javascript: ["if (part === '') return 0;", 'return text.split(part).length - 1;'],
    python: ["if part == '':", '    return 0', 'return text.count(part)'],
    cases: [
      { says: 'counts each place', given: ['banana', 'an'], answer: 2 },
      { says: 'finds nothing in what is not there', given: ['banana', 'x'], answer: 0 },
      { says: 'does not count the empty text', given: ['banana', ''], answer: 0 },
    ],
  },
  median: {
    name: 'middleOfThree',
    about: 'The number that is neither the smallest nor the largest.',
    parameters: [
      ['first', 'number'],
      ['second', 'number'],
      ['third', 'number'],
    ],
    result: 'number',
    javascript: ['return first + second + third - Math.min(first, second, third) - Math.max(first, second, third);'],
    python: ['return first + second + third - min(first, second, third) - max(first, second, third)'],
    cases: [
      { says: 'finds it in any order', given: [7, 1, 4], answer: 4 },
      { says: 'finds it among negatives', given: [-2, -9, 3], answer: -2 },
    ],
  },
  digits: {
    name: 'digitSum',
    about: 'The sum of the decimal digits of a whole number.',
    parameters: [['value', 'number']],
    result: 'number',
    javascript: [
      'let rest = Math.abs(value);',
      'let sum = 0;',
      'while (rest > 0) {',
      '  sum += rest % 10;',
      '  rest = Math.floor(rest / 10);',
      '}',
      'return sum;',
    ],
    python: ['return sum(int(digit) for digit in str(abs(value)))'],
    cases: [
      { says: 'adds the digits', given: [4711], answer: 13 },
      { says: 'ignores the sign', given: [-25], answer: 7 },
    ],
  },
  // Two wishes under one name: who comes second has a conflict.
  longest: {
    name: 'measureWords',
    about: 'The length of the longest word.',
    parameters: [['text', 'string']],
    result: 'number',
    javascript: [
      'let longest = 0;',
      "for (const word of text.split(' ')) longest = Math.max(longest, word.length);",
      'return longest;',
    ],
    python: ["return max(len(word) for word in text.split(' '))"],
    cases: [
      { says: 'looks at every word', given: ['to be or not'], answer: 3 },
      { says: 'takes a single word as it is', given: ['word'], answer: 4 },
    ],
  },
  shortest: {
    name: 'measureWords',
    about: 'The length of the shortest word.',
    parameters: [['text', 'string']],
    result: 'number',
    javascript: [
      'let shortest = Infinity;',
      "for (const word of text.split(' ')) shortest = Math.min(shortest, word.length);",
      'return shortest;',
    ],
    python: ["return min(len(word) for word in text.split(' '))"],
    cases: [
      { says: 'looks at every word', given: ['to be or not'], answer: 2 },
      { says: 'takes a single word as it is', given: ['word'], answer: 4 },
    ],
  },
} as const satisfies Record<string, Idea>;

export type IdeaName = keyof typeof ideas;
