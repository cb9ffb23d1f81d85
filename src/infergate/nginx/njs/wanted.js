// wanted: which backend's slot a request in the queue waits for, with balance: work. It is chosen when the request
// enters, by the sum that routing goes by: another one's slot is taken once it waited as long as it would lose there.
//
// [[name, ms more than at the best], …] of those that come first, the best one first; undefined where any is as good.
import * as contract from './contract.js';
import * as kinds from './kinds.js' with { load: 'rare' };
import * as route from './route.js';
import * as state from './state.js';
import * as usable from './usable.js';
import * as work from './work.js' with { load: 'lazy' };

// After so long any slot is as good, in ms: what was known at the start says little by then.
const PATIENT = 10000;
// So many backends are kept of each.
const MOST = 8;

// request: the one that enters.
function of(r, found, request, serving) {
    if (found[contract.ROUTE_BALANCE] !== 'work' || serving.length < 2) {
        return undefined;
    }
    const policy = work.open(r, found, request);
    if (policy.tokens === 0) {
        return undefined;
    }
    const slots = state.slots();
    const sums = usable.first(serving).map((backend) => {
        const name = backend[contract.ROUTE_BACKEND_NAME];
        return [name, policy.score(backend, slots.get(name) || 0, ngx.shared.ig_load.get(name) || 0, false, true)];
    }).sort((one, other) => one[1] - other[1]).slice(0, MOST);
    const least = sums.length === 0 ? 0 : sums[0][1];
    return sums.map((each) => [each[0], each[1] - least]);
}

function isOver(waited) {
    return waited >= PATIENT;
}

// A slot of one that it waits for by now, which nobody else has yet; its backend, or undefined. full: names of those
// that were found to have none, which are not asked again.
function slot(found, wanted, waited, uri, full) {
    for (let i = 0; i < wanted.length && wanted[i][1] <= waited; i++) {
        const name = wanted[i][0];
        if (full[name] === undefined && usable.open(found[contract.ROUTE_MODEL]).conditionOf(name) === undefined) {
            const others = found[contract.ROUTE_BACKENDS].map((each) => each[contract.ROUTE_BACKEND_NAME])
                .filter((each) => each !== name);
            const backend = route.pick(undefined, found, {}, others.join(',') + ',', true, kinds.only(uri));
            if (backend !== undefined) {
                return backend;
            }
        }
        full[name] = true;
    }
    return undefined;
}

export { of, isOver, slot };
