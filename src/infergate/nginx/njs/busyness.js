// busyness: the policies least_busy and least_conn, and what all others that have no backend of their own in mind
// go by: requests in flight, ours and those of others, for the backend's weight.
import * as residents from './residents.js' with { load: 'rare' };

const NAME = 0, WEIGHT = 1, FLAGS = 4;

// Loading a model takes as long as some answers: a warm box is preferred until it has so many more.
const COLD = 8;

// See balance.js.
function open(r, route) {
    function score(backend, busy, others) {
        const isCold = backend[FLAGS].indexOf('c') !== -1 && residents.sentAt(route[0], backend[NAME]) === undefined;
        return (busy + others) / backend[WEIGHT] + (isCold ? COLD : 0);
    }

    return { score, taken: () => undefined, told: '' };
}

// The same with one backend before all others, unless something stands against it.
function before(preferred, r, route) {
    const usual = open(r, route);
    const score = (backend, busy, others, isLast) =>
        backend[NAME] === preferred && !isLast ? -1 : usual.score(backend, busy, others);
    return { score, taken: usual.taken, told: '' };
}

export { open, before };
