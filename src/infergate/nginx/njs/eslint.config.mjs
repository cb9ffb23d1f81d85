// What tsc (tsconfig.json) does not see. njs 0.8.9 knows nothing newer than this.
const given = ['ngx', 'njs', 'process', 'Buffer', 'setTimeout', 'clearTimeout', 'settings', 'TextDecoder', 'Headers'];

const longest = (max) => ({ max, skipBlankLines: true, skipComments: true });

// What is more than that, and how much: it does not grow. [complexity, lines of a function] These files have one function
// with the variables of one request, or one stream, around small functions that share them: a variable around a function
// costs 100 instructions where it is used, a property of an object 475 (docs/decisions/010).
const exceptions = {
    'balance.js': [15, 91],
    'work.js': [34, 70],
};

export default [{
    files: ['*.js'],
    languageOptions: {
        ecmaVersion: 2025,   // for import attributes
        sourceType: 'module',
        globals: Object.fromEntries(given.map((name) => [name, 'readonly'])),
    },
    linterOptions: { reportUnusedDisableDirectives: 'error' },
    rules: {
        'complexity': ['error', 15],
        'eqeqeq': 'error',
        'max-lines': ['error', { max: 300, skipBlankLines: true }],
        'max-lines-per-function': ['error', longest(60)],
        'no-undef': 'error',
        'no-unused-vars': ['error', { args: 'none', caughtErrors: 'none' }],
        'no-use-before-define': ['error', { functions: false, variables: false }],
        'no-var': 'error',
        'prefer-const': 'error',
    },
}, ...Object.keys(exceptions).map((file) => ({
    files: [file],
    rules: {
        'complexity': ['error', exceptions[file][0]],
        'max-lines-per-function': ['error', longest(exceptions[file][1])],
    },
}))];
