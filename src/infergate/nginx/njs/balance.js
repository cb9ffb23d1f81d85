// balance: what each backend of a route costs a request; the lowest score gets it.
//
//   policy     what `balance` of the model means, in its own unit: see policyOf
//   priority   + SCORE_BACKUP for each step of it, at most nine (src/infergate/config/backends.py)
//   condition  + SCORE_FULL, SCORE_OPEN or SCORE_DOWN, so that it is taken only when there is no better one; but taken all
//              the same where a model has no other: a breaker may be wrong, and the control plane that could say
//              that they are back may be gone
//
// One more policy is a file and a line in policyOf, and its name in src/infergate/config/models.py. Its open gets
// (r, route, request, tried, those): those() being the backends with nothing against them, of the first priority that
// has any. It returns
//   score(backend, busy, others, isLast)   what the request costs there; told in the log, for `infergate explain`.
//            busy: requests in flight; others: what the backend has besides ours (health/load.py); isLast:
//            something stands against it, so that it comes last in any case
//   told     for the log, of the score given last: its terms; '' if there are none to tell
//   tokens   of the prompt, where it goes by them: told once (ledger/weighed.py reads both)
//   taken(name)   it goes there
import * as addresses from './addresses.js' with { load: 'rare' };
import * as busyness from './busyness.js';
import * as contract from './contract.js';
import * as homes from './homes.js' with { load: 'rare' };
import * as kinds from './kinds.js' with { load: 'rare' };
import * as state from './state.js';
import * as turns from './turns.js' with { load: 'rare' };
import * as usable from './usable.js' with { load: 'lazy' };
import * as work from './work.js' with { load: 'lazy' };

function policyOf(balance) {
    switch (balance) {
    case 'round_robin': return turns;
    case 'ip_hash': return addresses;
    case 'session':
    case 'prefix': return homes;
    case 'work': return work;
    default: return busyness;   // least_busy, least_conn
    }
}

// The arguments are pick's, in route.js.
function open(r, route, request, tried, waits, only, sound, shunned) {
    const model = route[contract.ROUTE_MODEL];
    const backends = route[contract.ROUTE_BACKENDS];
    const count = backends.length;
    const slots = state.slots();
    const able = slots.get('') === undefined ? undefined : usable.open(model);
    const sequence = route[contract.ROUTE_OPTIONS] === 0 ? undefined : route[contract.ROUTE_OPTIONS].sequence;
    const turn = count === 1 ? 0 : turnOf();
    const first = sequence === undefined ? turn : sequence[turn];
    const policy = (count === 1 || r === undefined ? busyness : policyOf(route[contract.ROUTE_BALANCE]))
        .open(r, route, request, tried, those);
    const judge = { count, first, isCalm: able === undefined, tokens: policy.tokens, told: '', score, take };
    let full = contract.NO_SCORE;   // what those that are full and else fine add for their priority, at least

    function turnOf() {
        const picked = r === undefined ? slots.get('/' + model) || 0 : slots.incr('/' + model, 1, -1);
        return (picked + (ngx.shared.ig_turns.get('/' + model) || 0)) % (sequence === undefined ? count : sequence.length);
    }

    function conditionOf(name) {
        return name === shunned ? 'open' : able === undefined ? undefined : able.conditionOf(name);
    }

    function those() {
        return usable.first(backends.filter((backend) =>
            (only === undefined || kinds.has(backend[contract.ROUTE_BACKEND_FLAGS], only)) && conditionOf(backend[contract.ROUTE_BACKEND_NAME]) === undefined));
    }

    // Whether it is none of those that are to be weighed.
    function isOut(name, flags) {
        return (only !== undefined && !kinds.has(flags, only))
            || (tried !== '' && (',' + tried).indexOf(',' + name + ',') !== -1)
            || (sound === true && able !== undefined && (able.conditionOf(name) !== undefined || able.isHalfOpen(name)));
    }

    // judge.told: the same for the log.
    function score(at) {
        const backend = backends[at];
        const name = backend[contract.ROUTE_BACKEND_NAME];
        judge.told = '';
        if (isOut(name, backend[contract.ROUTE_BACKEND_FLAGS])) {
            return contract.NO_SCORE;
        }
        const busy = slots.get(name) || 0;
        const backup = backend[contract.ROUTE_BACKEND_PRIORITY] === undefined ? 0 : backend[contract.ROUTE_BACKEND_PRIORITY] * contract.SCORE_BACKUP;
        const condition = conditionOf(name);
        let against = 0;
        if (backend[contract.ROUTE_BACKEND_MAX_IN_FLIGHT] !== 0 && busy >= backend[contract.ROUTE_BACKEND_MAX_IN_FLIGHT]) {
            if (waits) {
                judge.told = name + ' full;';
                if (backup < full && condition === undefined) {
                    full = backup;
                }
                return contract.NO_SCORE;
            }
            against = contract.SCORE_FULL;
        }
        if (condition === contract.AGAINST_DRAINED) {
            judge.told = name + ' drained;';
            return contract.NO_SCORE;
        }
        if (condition !== undefined) {
            against += condition === 'open' ? contract.SCORE_OPEN : contract.SCORE_DOWN;
        }
        const others = able === undefined ? 0 : ngx.shared.ig_load.get(name) || 0;
        const sum = backup + against + policy.score(backend, busy, others, against !== 0);
        judge.told = (condition === 'open' ? name + ' open;' : '') + name + '=' + sum + policy.told + ';';
        return sum;
    }

    // The backend with its slot; undefined if there is none; its name if it is to be shunned.
    function take(at, lowest) {
        if (at === undefined || lowest >= full + contract.SCORE_BACKUP || (lowest >= contract.SCORE_OPEN && lowest < contract.SCORE_DOWN && fallsBack())) {
            return undefined;   // rather wait for one that is usable and comes first, or ask the next model
        }
        const backend = backends[at];
        const name = backend[contract.ROUTE_BACKEND_NAME];
        if (at !== first && sequence === undefined && r !== undefined) {   // who is out must not give its turns to its neighbour
            ngx.shared.ig_turns.incr('/' + model, (at - first + count) % count, 0);
        }
        // From here on nothing fails: whoever called has the slot, or nobody has.
        if (hold(name, 1) > backend[contract.ROUTE_BACKEND_MAX_IN_FLIGHT] && waits && backend[contract.ROUTE_BACKEND_MAX_IN_FLIGHT] !== 0) {   // another was quicker
            hold(name, -1);
            return undefined;
        }
        if (lowest < contract.SCORE_OPEN && able !== undefined && !able.lets(name)) {
            hold(name, -1);
            return name;
        }
        policy.taken(name);
        return backend;
    }

    // What is handed out is nobody's yet: the request it is for may be another worker's (queue.js).
    function hold(name, number) {
        return r === undefined ? slots.incr(name, number, 0) : state.hold(name, number);
    }

    // Whether there is a model to fall back to: then an open breaker is no last resort.
    function fallsBack() {
        const left = r === undefined ? '[]' : r.variables.ig_fallback;
        return left === '' ? route[contract.ROUTE_OPTIONS] !== 0 && route[contract.ROUTE_OPTIONS].fallback !== undefined : left !== '[]';
    }

    return judge;
}

export { open };
