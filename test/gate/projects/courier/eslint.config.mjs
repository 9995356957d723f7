import parser from '@typescript-eslint/parser';

export default [
  { files: ['**/*.ts'], languageOptions: { parser }, rules: { eqeqeq: 'error', 'no-var': 'error', 'no-empty': 'error' } },
];
