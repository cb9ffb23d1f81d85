// busyness: the policies least_busy and least_conn, and what all others that have no backend of their own in mind
// go by: requests in flight, ours and those of others, for the backend's weight.
import * as contract from './contract.js';
import * as residents from './residents.js' with { load: 'rare' };

// Loading a model takes as long as some answers: a warm box is preferred until it has so many more.
const COLD = 8;

// See balance.js.
function open(r, route) {
    function score(backend, busy, others) {
        const isCold = backend[contract.ROUTE_BACKEND_FLAGS].indexOf(contract.BACKEND_FLAG_COLD) !== -1
            && residents.sentAt(route[contract.ROUTE_MODEL], backend[contract.ROUTE_BACKEND_NAME]) === undefined;
        return (busy + others) / backend[contract.ROUTE_BACKEND_WEIGHT] + (isCold ? COLD : 0);
    }

    return { score, taken: () => undefined, told: '' };
}

// The same with one backend before all others, unless something stands against it.
function before(preferred, r, route) {
    const usual = open(r, route);
    const score = (backend, busy, others, isLast) =>
        backend[contract.ROUTE_BACKEND_NAME] === preferred && !isLast ? -1 : usual.score(backend, busy, others);
    return { score, taken: usual.taken, told: '' };
}

export { open, before };
