// route: from the name a client asked for to the one backend that gets the request.
//
// A route, as src/infergate/state/route.py compiles it, one for every name and alias:
//   [model, balance, [[name, weight, max_in_flight, upstream_name, flags, relay, priority], …], options, names,
//    pace]
// options: 0 if there are none. names: of the backends, if only how busy they are tells them apart,
// else 0. Where they differ in nothing else, only the first of them stands in the list: to parse what is
// there twice costs 600 instructions for each value. pace: ms for a token, as the model's size tells, if it is known.
// relay being the named location that leads there with the model's timeouts, '' the usual one. The
// route under '' is the default model's. flags: a letter for its kind (kinds.js), c the model is not in its memory, p is told the
// priority, u understands stream_options, h is Anthropic's own. priority: not there for those that are asked first.
//
// Which of them gets a request: the lowest score; see balance.js.
import * as balance from './balance.js' with { load: 'lazy' };
import * as contract from './contract.js';
import * as state from './state.js';
import * as work from './work.js' with { load: 'lazy' };

// As it is kept, with 0 for no options, and one backend for all that are like it.
function look(model) {
    const routes = state.shared.ig_routes;
    const text = (model === undefined ? undefined : state.find(routes, model))
        || (typeof model === 'string' ? state.find(routes, '\n' + model.toLowerCase()) : undefined)
        || state.find(routes, '');
    return text === undefined ? undefined : JSON.parse(text);
}

function find(model) {
    const route = look(model);
    if (route === undefined) {
        return undefined;
    }
    if (route[contract.ROUTE_OPTIONS] === 0) {
        route[contract.ROUTE_OPTIONS] = {};
    }
    if (route[contract.ROUTE_BACKENDS].length < route[contract.ROUTE_NAMES].length) {
        const same = route[contract.ROUTE_BACKENDS][0].slice(1);
        route[contract.ROUTE_BACKENDS] = route[contract.ROUTE_NAMES].map((name) => [name].concat(same));
    }
    return route;
}

// The backend to try next and a slot in it; undefined if there is none, or if all are full and
// `waits` says that the request can wait. tried: the names it was sent to already, each followed by
// ','. only: of those of these kinds (kinds.js); undefined for any. sound: of those with nothing against them.
// r: undefined for a slot that
// is handed out to somebody in the queue. state.why is what was weighed, for `infergate explain`.
//
// Each time it starts at another one, or as the weights say, so that equally busy ones share; Math.random
// would seed itself anew for every request. Where only how busy they are tells the backends apart, as on most
// routes, there is nothing to judge: balance.js would cost 2 µs more. With balance: work, a prompt that is too small
// to count makes a difference only where somebody is busy.
function pick(r, route, request, tried, waits, only, sound) {
    const slots = state.slots();
    const names = route[contract.ROUTE_NAMES];
    if (names !== 0 && tried === '' && slots.get('') === undefined && only === undefined) {
        return leastBusy(r, route, request, slots, names);
    }
    return judged(r, route, request, tried, waits, only, sound);
}

function leastBusy(r, route, request, slots, names) {
    const count = names.length;
    const isWork = route[contract.ROUTE_BALANCE] === 'work';
    let policy = isWork && request.bytes >= work.SMALL ? work.open(r, route, request) : undefined;
    let at = count === 1 ? 0 : slots.incr('/' + route[contract.ROUTE_MODEL], 1, -1) % count;
    let why = policy === undefined ? route[contract.ROUTE_BALANCE] + ';' : 'work ' + policy.tokens + ';';
    let lowest = contract.NO_SCORE;
    let best;
    for (let left = count; left !== 0; left--) {
        let score = slots.get(names[at]) || 0;
        if (isWork && score !== 0 && policy === undefined) {
            policy = work.open(r, route, request);
        }
        if (policy === undefined) {
            why += names[at] + '=' + score + ';';
        } else {
            score = policy.score(likeTheFirst(route, at), score, 0);
            why += names[at] + '=' + score + policy.told + ';';
        }
        if (score < lowest) {
            lowest = score;
            best = at;
        }
        at = at + 1 === count ? 0 : at + 1;
    }
    state.weighed(why, true);
    // From here on nothing fails: whoever called has the slot, or nobody has.
    state.hold(names[best], 1);
    return likeTheFirst(route, best);
}

// One of those of which only the first stands in the list, perhaps.
function likeTheFirst(route, at) {
    if (route[contract.ROUTE_BACKENDS].length === route[contract.ROUTE_NAMES].length) {
        return route[contract.ROUTE_BACKENDS][at];
    }
    const backend = route[contract.ROUTE_BACKENDS][0];
    backend[contract.ROUTE_BACKEND_NAME] = route[contract.ROUTE_NAMES][at];
    return backend;
}

function judged(r, route, request, tried, waits, only, sound) {
    const its = whole(route);
    let taken;   // what was found; the name of one that is half-open and whose one request is another one
    do {
        const judge = balance.open(r, its, request, tried, waits, only, sound, taken);
        let at = judge.first;
        let why = route[contract.ROUTE_BALANCE] + (judge.tokens > 0 ? ' ' + judge.tokens : '') + ';';
        let lowest = contract.NO_SCORE;
        let best;
        for (let left = judge.count; left !== 0; left--) {
            const score = judge.score(at);
            why += judge.told;
            if (score < lowest) {
                lowest = score;
                best = at;
            }
            at = at + 1 === judge.count ? 0 : at + 1;
        }
        state.weighed(why, judge.isCalm);
        taken = judge.take(best, lowest);
    } while (typeof taken === 'string');
    return taken;
}

// With all its backends, where one stands for those that are like it.
function whole(route) {
    if (route[contract.ROUTE_BACKENDS].length < route[contract.ROUTE_NAMES].length) {
        return find(route[contract.ROUTE_MODEL]);
    }
    return route;
}

export { look, find, pick };
