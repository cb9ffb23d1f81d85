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
// One score decides, the lowest wins:
//   occupancy  (requests in flight + those it has besides ours) / weight
//   residency  + COLD where the model would have to be loaded first
//   affinity   the backend that balance prefix, session or ip_hash means, unless it is overloaded
//   priority   + BACKUP for each step of it
import * as affinity from './affinity.js' with { load: 'lazy' };
import * as kinds from './kinds.js' with { load: 'rare' };
import * as state from './state.js';
import * as usable from './usable.js' with { load: 'lazy' };

const NAME = 0, WEIGHT = 1, MAX_IN_FLIGHT = 2, UPSTREAM_NAME = 3, FLAGS = 4, RELAY = 5, PRIORITY = 6;
const MODEL = 0, BALANCE = 1, BACKENDS = 2, OPTIONS = 3, NAMES = 4, PACE = 5;

// Loading a model takes as long as some answers: a warm box is preferred until it has so many more.
const COLD = 8;
// Added to a score so that a backend is taken only when there is no better one. Those with an open breaker
// and down ones last, but taken all the same where a model has no other: a breaker may be wrong, and the
// control plane that could say that they are back may be gone. A backup before one with an open breaker, and at
// most nine steps of it (src/infergate/config/backends.py).
const FULL = 1e6, BACKUP = 1e7, OPEN = 1e8, DOWN = 1e9, NONE = 1e99;

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
    if (route[OPTIONS] === 0) {
        route[OPTIONS] = {};
    }
    if (route[BACKENDS].length < route[NAMES].length) {
        const same = route[BACKENDS][0].slice(1);
        route[BACKENDS] = route[NAMES].map((name) => [name].concat(same));
    }
    return route;
}

// The backend to try next and a slot in it; undefined if there is none, or if all are full and
// `waits` says that the request can wait. tried: the names it was sent to already, each followed by
// ','. only: of those of these kinds (kinds.js); undefined for any. state.why is what was weighed, for `infergate explain`.
//
// Written as one loop over shared memory (4 µs for three backends; with a function for each step it
// was 8). Each time it starts at another one, or as the weights say, so that equally busy ones share;
// Math.random would seed itself anew for every request.
// shunned: one that is half-open, and whose one request is another one.
function pick(r, route, request, tried, waits, only, shunned) {
    const slots = state.slots();
    if (route[NAMES] !== 0 && tried === '' && slots.get('') === undefined && only === undefined) {
        return pickEqual(route, slots);
    }
    const backends = route[BACKENDS].length < route[NAMES].length ? find(route[MODEL])[BACKENDS] : route[BACKENDS];
    const count = backends.length;
    const balance = route[BALANCE];
    const careful = slots.get('') === undefined ? undefined : more(route[MODEL]);
    const sequence = route[OPTIONS] === 0 ? undefined : route[OPTIONS].sequence;
    const turns = sequence === undefined ? count : sequence.length;
    const skipped = count === 1 ? 0 : ngx.shared.ig_turns.get('/' + route[MODEL]) || 0;
    const turn = count === 1 ? 0 : (slots.incr('/' + route[MODEL], 1, -1) + skipped) % turns;
    let preferred;
    let why = balance + ';';
    let best;
    let lowest = NONE;
    let full = NONE;   // what those that are full and else fine add for their priority, at least

    if (balance !== 'least_busy' && balance !== 'least_conn' && tried === '' && count !== 1) {
        preferred = more(route[MODEL]).preferred(r, route, request, only);
    }
    const first = sequence === undefined ? turn : sequence[turn];
    let chosen;
    for (let i = first, left = count; left !== 0; left--) {
        const at = i;
        const backend = backends[i];
        const name = backend[NAME];
        const flags = backend[FLAGS];
        i = i + 1 === count ? 0 : i + 1;
        if ((only !== undefined && !kinds.has(flags, only))
            || (tried !== '' && (',' + tried).indexOf(',' + name + ',') !== -1)) {
            continue;
        }
        let busy = slots.get(name) || 0;
        let score = 0;
        const backup = backend[PRIORITY] === undefined ? 0 : backend[PRIORITY] * BACKUP;
        if (backend[MAX_IN_FLIGHT] !== 0 && busy >= backend[MAX_IN_FLIGHT]) {
            if (waits) {
                why += name + ' full;';
                if (backup < full && (careful === undefined || careful.conditionOf(name) === undefined)) {
                    full = backup;
                }
                continue;
            }
            score = FULL;
        }
        if (careful !== undefined) {
            const condition = name === shunned ? 'open' : careful.conditionOf(name);
            if (condition === 'drained') {
                why += name + ' drained;';
                continue;
            }
            if (condition === 'open') {
                why += name + ' open;';
                score += OPEN;
            } else if (condition !== undefined) {
                score += DOWN;
            }
            busy += ngx.shared.ig_load.get(name) || 0;
        }
        score += busy / backend[WEIGHT];
        if (flags.indexOf('c') !== -1 && !affinity.open().isWarm(route[MODEL], name)) {
            score += COLD;
        }
        if (name === preferred && score < FULL) {
            score = -1;
        }
        score += backup;
        why += name + '=' + score + ';';
        if (score < lowest) {
            lowest = score;
            best = backend;
            chosen = at;
        }
    }
    state.weighed(why, careful === undefined);
    if (best === undefined || lowest >= full + BACKUP || (lowest >= OPEN && lowest < DOWN && fallsBack(r, route))) {
        return undefined;   // rather wait for one that is usable and comes first, or ask the next model
    }
    if (chosen !== first && sequence === undefined) {   // who is out must not give its turns to its neighbour
        ngx.shared.ig_turns.incr('/' + route[MODEL], (chosen - first + count) % count, 0);
    }
    // From here on nothing fails: whoever called has the slot, or nobody has.
    if (state.hold(best[NAME], 1) > best[MAX_IN_FLIGHT] && waits && best[MAX_IN_FLIGHT] !== 0) {   // another was quicker
        state.hold(best[NAME], -1);
        return undefined;
    }
    if (lowest < OPEN && careful !== undefined && !careful.lets(best[NAME])) {
        state.hold(best[NAME], -1);
        return pick(r, route, request, tried, waits, only, best[NAME]);
    }
    if (preferred !== undefined && balance !== 'round_robin') {
        affinity.open().remember(route, request, best[NAME]);
    }
    return best;
}

// Whether there is a model to fall back to: then an open breaker is no last resort.
function fallsBack(r, route) {
    const left = r.variables.ig_fallback;
    return left === '' ? route[OPTIONS] !== 0 && route[OPTIONS].fallback !== undefined : left !== '[]';
}

// The same where only how busy they are tells the backends apart, as on most routes.
function pickEqual(route, slots) {
    const names = route[NAMES];
    const count = names.length;
    let at = count === 1 ? 0 : slots.incr('/' + route[MODEL], 1, -1) % count;
    let why = route[BALANCE] + ';';
    let lowest = NONE;
    let best;
    for (let left = count; left !== 0; left--) {
        const busy = slots.get(names[at]) || 0;
        why += names[at] + '=' + busy + ';';
        if (busy < lowest) {
            lowest = busy;
            best = at;
        }
        at = at + 1 === count ? 0 : at + 1;
    }
    state.weighed(why, true);
    state.hold(names[best], 1);
    if (route[BACKENDS].length === count) {
        return route[BACKENDS][best];
    }
    const backend = route[BACKENDS][0];
    backend[NAME] = names[best];
    return backend;
}

function more(model) {
    const able = usable.open(model);
    const conditionOf = able.conditionOf;

    function those(route, only) {
        return usable.first(route[BACKENDS].filter((backend) =>
            (only === undefined || kinds.has(backend[FLAGS], only)) && conditionOf(backend[NAME]) === undefined));
    }

    // Whose turn it is: each as often as its weight says, the next one where one is not up.
    function inTurn(route, turn) {
        const backends = route[BACKENDS];
        const sequence = route[OPTIONS].sequence;
        const length = sequence === undefined ? backends.length : sequence.length;
        const up = those(route, undefined).map((backend) => backend[NAME]);
        for (let i = 0; i < length; i++) {
            const at = (turn + i) % length;
            const name = backends[sequence === undefined ? at : sequence[at]][NAME];
            if (up.indexOf(name) !== -1) {
                return name;
            }
        }
        return undefined;
    }

    // The backend that balance means, whatever it costs there.
    function preferred(r, route, request, only) {
        return route[BALANCE] === 'round_robin'
            ? inTurn(route, state.slots().get('/' + route[MODEL]))
            : affinity.open().preferred(r, route, request, those(route, only));
    }

    return { conditionOf, lets: able.lets, preferred };
}

export { NAME, UPSTREAM_NAME, FLAGS, RELAY, PRIORITY, MODEL, BACKENDS, OPTIONS, PACE, look, find, pick, more };
