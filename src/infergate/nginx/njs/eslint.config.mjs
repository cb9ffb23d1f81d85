// What tsc (tsconfig.json) does not see. njs 0.8.9 knows nothing newer than this.
const given = ['ngx', 'njs', 'process', 'Buffer', 'setTimeout', 'clearTimeout', 'settings', 'TextDecoder', 'Headers'];

export default [{
    files: ['*.js'],
    languageOptions: {
        ecmaVersion: 2025,   // for import attributes
        sourceType: 'module',
        globals: Object.fromEntries(given.map((name) => [name, 'readonly'])),
    },
    linterOptions: { reportUnusedDisableDirectives: 'error' },
    rules: {
        'eqeqeq': 'error',
        'max-lines': ['error', { max: 300, skipBlankLines: true }],
        'no-undef': 'error',
        'no-unused-vars': ['error', { args: 'none', caughtErrors: 'none' }],
        'no-use-before-define': ['error', { functions: false, variables: false }],
        'no-var': 'error',
        'prefer-const': 'error',
    },
}];
