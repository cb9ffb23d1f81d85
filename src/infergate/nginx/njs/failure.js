// failure: what is kept in mind of a backend that failed a request.
import * as breaker from './breaker.js';
import * as contract from './contract.js';
import * as memory from './memory.js';

// A request could not reach the backend: the others are preferred until the next probe is due.
// What probes or an operator said is not overwritten.
function markFailed(backend) {
    const conditions = ngx.shared.ig_backends;
    const entry = conditions.get(backend);
    if (entry === undefined || entry.startsWith(contract.AGAINST_FAILED_UNTIL)) {
        memory.perhaps(() => {
            ngx.shared.ig_inflight.set('', 1);   // see state.js
            conditions.set(backend, contract.AGAINST_FAILED_UNTIL + (Date.now() + settings.mark_failed_ms));
        });
    }
}

// reached: whether it took the connection and began to answer. uri, model: what a trial may ask it.
function note(backend, status, reached, uri, model) {
    if (status === 502 && !reached) {
        markFailed(backend);
    }
    if (status !== 429) {
        breaker.open().failed(backend, status === 504 && !reached, uri, model);
    }
}

export { note };
