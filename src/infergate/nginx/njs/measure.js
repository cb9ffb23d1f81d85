// measure: the time over which limits.js measures.

const MINUTE = 60000;   // in ms

export { MINUTE };
