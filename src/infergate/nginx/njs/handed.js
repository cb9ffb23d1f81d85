// handed: a request that the API tier had is over, and with it what it lent.
import * as lent from './lent.js';

// The variable $ig_handed_back, in the log phase.
function back(r) {
    lent.end(r);
    return '1';
}

export { back };
