// door: who may come in by the short way (hot.js, cached.js).
import * as admit from './admit.js';

// Up to here the body is copied for the backend at no cost to speak of.
const LARGEST = 131072;

let keyPolicy, size;   // the engine is the request's own

// The variable $ig_admitted, in the rewrite phase: see admit.js. 'careful' is for a body that is too
// large for the short way.
function enter(r) {
    const found = admit.find(r);
    if (found.indexOf('\n') === -1) {
        return found;
    }
    size = r.headersIn['Content-Length'];
    if (size > LARGEST) {
        r.variables.ig_policy = found;
        return 'careful';
    }
    keyPolicy = found;
    return 'yes';
}

export { enter, keyPolicy, size };
