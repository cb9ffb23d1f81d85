// measure: what a bucket of limits.js measures: [name, requests a minute, tokens a minute, requests at the same
// time], 0 for no limit.

const REQUESTS = 1, TOKENS = 2, CONCURRENT = 3;
const MINUTE = 60000;   // in ms

export { REQUESTS, TOKENS, CONCURRENT, MINUTE };
