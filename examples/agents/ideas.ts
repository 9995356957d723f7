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
  // Ten that have nothing to do with one another, for ten authors at once.
  palindrome: {
    name: 'isPalindrome',
    about: 'Whether a text reads the same from behind.',
    parameters: [['text', 'string']],
    result: 'boolean',
    javascript: ["return text === Array.from(text).reverse().join('');"],
    python: ['return text == text[::-1]'],
    cases: [
      { says: 'accepts what reads the same from behind', given: ['racecar'], answer: true },
      { says: 'refuses what does not', given: ['racing'], answer: false },
    ],
  },
  leapYear: {
    name: 'isLeapYear',
    about: 'Whether a year of the Gregorian calendar has a 29th of February.',
    parameters: [['year', 'number']],
    result: 'boolean',
    javascript: ['if (year % 400 === 0) return true;', 'if (year % 100 === 0) return false;', 'return year % 4 === 0;'],
    python: [
      'if year % 400 == 0:',
      '    return True',
      'if year % 100 == 0:',
      '    return False',
      'return year % 4 == 0',
    ],
    cases: [
      { says: 'takes every fourth year', given: [2028], answer: true },
      { says: 'leaves out the other years', given: [2027], answer: false },
      { says: 'leaves out full centuries', given: [2100], answer: false },
      { says: 'takes every fourth century', given: [2000], answer: true },
    ],
  },
  factorial: {
    name: 'productUpTo',
    about: 'The product of all whole numbers from one up to this one.',
    parameters: [['last', 'number']],
    result: 'number',
    javascript: [
      'let product = 1;',
      'for (let factor = 2; factor <= last; factor += 1) product *= factor;',
      'return product;',
    ],
    python: ['product = 1', 'for factor in range(2, last + 1):', '    product *= factor', 'return product'],
    cases: [
      { says: 'multiplies them all', given: [5], answer: 120 },
      { says: 'is one for nothing', given: [0], answer: 1 },
      { says: 'takes two as it is', given: [2], answer: 2 },
    ],
  },
  vowels: {
    name: 'countVowels',
    about: 'How many letters of a text are vowels.',
    parameters: [['text', 'string']],
    result: 'number',
    javascript: ["return text.split('').filter((letter) => 'aeiou'.includes(letter.toLowerCase())).length;"],
    python: ["return sum(1 for letter in text if letter.lower() in 'aeiou')"],
    cases: [
      { says: 'counts each of them', given: ['muster'], answer: 2 },
      { says: 'counts capitals too', given: ['Ada'], answer: 2 },
      { says: 'finds none where there is none', given: ['rhythm'], answer: 0 },
    ],
  },
  percent: {
    name: 'percentOf',
    about: 'The share of a total in whole per cent; zero where there is no total.',
    parameters: [
      ['part', 'number'],
      ['total', 'number'],
    ],
    result: 'number',
    javascript: ['if (total === 0) return 0;', 'return Math.round((part / total) * 100);'],
    python: ['if total == 0:', '    return 0', 'return round(part / total * 100)'],
    cases: [
      { says: 'tells a quarter', given: [5, 20], answer: 25 },
      { says: 'rounds to whole ones', given: [2, 3], answer: 67 },
      { says: 'divides by no zero', given: [3, 0], answer: 0 },
    ],
  },
  ordinal: {
    name: 'ordinalOf',
    about: 'A place in an order as English writes it: 1st, 2nd, 3rd, 4th.',
    parameters: [['place', 'number']],
    result: 'string',
    javascript: [
      'const lastTwo = place % 100;',
      'if (lastTwo >= 11 && lastTwo <= 13) return `${place}th`;',
      'if (place % 10 === 1) return `${place}st`;',
      'if (place % 10 === 2) return `${place}nd`;',
      'if (place % 10 === 3) return `${place}rd`;',
      'return `${place}th`;',
    ],
    python: [
      'if place % 100 in (11, 12, 13):',
      "    return f'{place}th'",
      "endings = {1: 'st', 2: 'nd', 3: 'rd'}",
      "return f'{place}{endings.get(place % 10, \'th\')}'",
    ],
    cases: [
      { says: 'writes the first', given: [1], answer: '1st' },
      { says: 'writes the second', given: [22], answer: '22nd' },
      { says: 'writes the third', given: [103], answer: '103rd' },
      { says: 'writes all others alike', given: [14], answer: '14th' },
      { says: 'knows the eleventh', given: [11], answer: '11th' },
      { says: 'knows the thirteenth', given: [113], answer: '113th' },
      { says: 'ends the exceptions at thirteen', given: [10], answer: '10th' },
    ],
  },
  binary: {
    name: 'onesInBinary',
    about: 'How many ones a whole number has when it is written in binary.',
    parameters: [['value', 'number']],
    result: 'number',
    javascript: ["return value.toString(2).split('1').length - 1;"],
    python: ["return bin(value).count('1')"],
    cases: [
      { says: 'counts the ones', given: [13], answer: 3 },
      { says: 'finds none in zero', given: [0], answer: 0 },
    ],
  },
  extension: {
    name: 'extensionOf',
    about: 'What stands behind the last dot of a file name; nothing where there is no dot.',
    parameters: [['file', 'string']],
    result: 'string',
    javascript: ["const dot = file.lastIndexOf('.');", "return dot < 0 ? '' : file.slice(dot + 1);"],
    python: ["return file.rsplit('.', 1)[1] if '.' in file else ''"],
    cases: [
      { says: 'takes what is behind the dot', given: ['note.txt'], answer: 'txt' },
      { says: 'takes the last one', given: ['backup.tar.gz'], answer: 'gz' },
      { says: 'is empty without a dot', given: ['Makefile'], answer: '' },
      { says: 'knows hidden files', given: ['.env'], answer: 'env' },
    ],
  },
  masked: {
    name: 'maskAllButLast',
    about: 'Hides all but the last characters of a text behind stars.',
    parameters: [
      ['text', 'string'],
      ['shown', 'number'],
    ],
    result: 'string',
    javascript: ['const hidden = Math.max(0, text.length - shown);', "return '*'.repeat(hidden) + text.slice(hidden);"],
    python: ['hidden = max(0, len(text) - shown)', "return '*' * hidden + text[hidden:]"],
    cases: [
      { says: 'hides what comes before', given: ['12345678', 4], answer: '****5678' },
      { says: 'shows a short text as it is', given: ['123', 4], answer: '123' },
      { says: 'hides all where nothing is shown', given: ['42', 0], answer: '**' },
    ],
  },
  century: {
    name: 'centuryOf',
    about: 'The century that a year belongs to; the first begins with the year one.',
    parameters: [['year', 'number']],
    result: 'number',
    javascript: ['return Math.ceil(year / 100);'],
    python: ['return -(-year // 100)'],
    cases: [
      { says: 'counts from one', given: [1], answer: 1 },
      { says: 'ends with a full hundred', given: [2000], answer: 20 },
      { says: 'begins after it', given: [2001], answer: 21 },
    ],
  },
} as const satisfies Record<string, Idea>;

export type IdeaName = keyof typeof ideas;
