// route: from the name a client asked for to the one backend that gets the request.
//
// A route, as src/infergate/state/routes.py compiles it, one for every name and alias:
//   { model, balance, backends: [[name, weight, max_in_flight, upstream_name, is_ollama, relay], …] }
// relay being the named location that leads there with the model's timeouts.
// The entry under '' is the default model's.
import state from 'state.js';

const NAME = 0, WEIGHT = 1, MAX_IN_FLIGHT = 2, UPSTREAM_NAME = 3, IS_OLLAMA = 4, RELAY = 5;

function find(model) {
    return (model === undefined ? undefined : state.route(model)) || state.route('');
}

// Requests in flight for a unit of weight. Above max_in_flight a backend is still better than
// none, but worse than any that has room.
function load(backend) {
    const busy = state.inFlight(backend[NAME]);
    const full = backend[MAX_IN_FLIGHT] !== 0 && busy >= backend[MAX_IN_FLIGHT];
    return (busy + 1) / backend[WEIGHT] + (full ? 1e6 : 0);
}

// The least busy of the candidates. Each time it starts at another one, so that equally busy ones
// share. (Math.random would seed itself anew for every request: 4 µs.)
function leastBusy(candidates) {
    const first = state.nextTurn('') % candidates.length;
    let best = candidates[first];
    let lowest = load(best);
    for (let i = 1; i < candidates.length; i++) {
        const backend = candidates[(first + i) % candidates.length];
        const score = load(backend);
        if (score < lowest) {
            lowest = score;
            best = backend;
        }
    }
    return best;
}

// In turn, each as often as its weight says.
function roundRobin(model, candidates) {
    let total = 0;
    for (let i = 0; i < candidates.length; i++) {
        total += candidates[i][WEIGHT];
    }
    let turn = state.nextTurn(model) % total;
    for (let i = 0; ; i++) {
        turn -= candidates[i][WEIGHT];
        if (turn < 0) {
            return candidates[i];
        }
    }
}

// The backend to try next, or undefined. tried: names already tried for this request, each
// followed by ','. When none is known to be up, those that are down are tried all the same: the
// control plane that could say they are back may be gone.
function pick(route, tried, ollamaOnly) {
    const up = [];
    const down = [];
    for (let i = 0; i < route.backends.length; i++) {
        const backend = route.backends[i];
        if ((ollamaOnly && !backend[IS_OLLAMA]) || tried.indexOf(backend[NAME] + ',') !== -1) {
            continue;
        }
        const condition = state.condition(backend[NAME]);
        if (condition === 'up') {
            up.push(backend);
        } else if (condition === 'down') {
            down.push(backend);
        }
    }
    const candidates = up.length !== 0 ? up : down;
    if (candidates.length < 2) {
        return candidates[0];
    }
    return route.balance === 'round_robin' ? roundRobin(route.model, candidates) : leastBusy(candidates);
}

// What the backend calls the route's model.
function upstreamName(route, backend) {
    return backend[UPSTREAM_NAME] || route.model;
}

export default { NAME, RELAY, find, pick, upstreamName };
