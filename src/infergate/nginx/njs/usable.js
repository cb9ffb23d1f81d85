// usable: whether a backend may get requests now. Routing, the queue and hedging ask the same question.
import * as breaker from './breaker.js';
import * as contract from './contract.js';
import * as state from './state.js';

// model: the one that is asked for. A breaker may be open for others only.
function open(model) {
    const circuit = breaker.open();

    // What stands against a backend: 'drained', 'open' (its breaker: a trial comes first), another text if
    // it is down; undefined for a usable one. A half-open one is, for who gets its one request: see lets.
    function conditionOf(name) {
        const condition = ngx.shared.ig_backends.get(name);
        if (condition !== undefined && (condition === contract.AGAINST_DRAINED || state.isDown(condition))) {
            return condition;
        }
        const stands = circuit.stateOf(circuit.entryOf(name), Date.now(), model);
        return stands === 'open' || stands === 'waiting' ? 'open' : undefined;
    }

    // Of these backends of a route those that are usable. Where none is, all that are not drained: the
    // last one of a model stays in, because a breaker that is open may be wrong, and an error is none worse
    // than a refusal.
    function among(backends) {
        const conditions = backends.map((backend) => conditionOf(backend[contract.ROUTE_BACKEND_NAME]));
        const usable = first(backends.filter((backend, i) => conditions[i] === undefined));
        return usable.length !== 0 ? usable : backends.filter((backend, i) => conditions[i] !== contract.AGAINST_DRAINED);
    }

    // Whether one that was chosen may get this request, once its slot is taken.
    function lets(name) {
        return circuit.lets(name, circuit.entryOf(name), Date.now(), model);
    }

    function isHalfOpen(name) {
        return circuit.stateOf(circuit.entryOf(name), Date.now(), model) === 'half-open';
    }

    return { conditionOf, among, lets, isHalfOpen };
}

// Those of them that come first: a backup waits while there is another.
function first(backends) {
    const least = Math.min.apply(null, backends.map(priorityOf));
    return backends.filter((backend) => priorityOf(backend) === least);
}

function priorityOf(backend) {
    return backend[contract.ROUTE_BACKEND_PRIORITY] || 0;
}

export { open, first };
