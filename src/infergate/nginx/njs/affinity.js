// affinity: the same place for the same text, so that every worker and every restart come to the same answer.
import * as contract from './contract.js';
import crypto from 'crypto';

// A number in (0, 1) for a text, the same everywhere.
function unit(text) {
    return (parseInt(crypto.createHash('md5').update(text).digest('hex').slice(0, 12), 16) + 1) / 281474976710658;
}

// The highest random weight of (key, backend) decides, so that a backend that leaves moves only its own.
function byHash(key, backends) {
    let best;
    let highest = -Infinity;
    backends.forEach((backend) => {
        const rank = -backend[contract.ROUTE_BACKEND_WEIGHT] / Math.log(unit(key + backend[contract.ROUTE_BACKEND_NAME]));
        if (rank > highest) {
            highest = rank;
            best = backend;
        }
    });
    return best;
}

// Where a text stands between 0 and 100, always the same place.
function share(text) {
    return unit(text) * 100;
}

export { share, byHash };
