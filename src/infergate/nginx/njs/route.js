// route: from the name a client asked for to the one backend that gets the request.
//
// A route, as src/infergate/state/routes.py compiles it, one for every name and alias:
//   [model, balance, [[name, weight, max_in_flight, upstream_name, is_ollama, relay], …]]
// relay being the named location that leads there with the model's timeouts. The route under '' is
// the default model's.
import state from 'state.js';

const NAME = 0, WEIGHT = 1, MAX_IN_FLIGHT = 2, UPSTREAM_NAME = 3, IS_OLLAMA = 4, RELAY = 5;
const ROUND_ROBIN = 'round_robin';

// Added to a score so that a backend is taken only when there is no better one. Down ones last, but
// taken all the same: the control plane that could say they are back may be gone.
const FULL = 1e6, DOWN = 1e9;

function find(model) {
    const text = (model === undefined ? undefined : state.route(model)) || state.route('');
    return text === undefined ? undefined : JSON.parse(text);
}

// The backend to try next, or undefined: the one with the fewest requests in flight for its weight.
// tried: the names this request was sent to already, each followed by ','.
//
// Written as one loop over shared memory (4 µs for three backends; with a function for each step it
// was 8). Each time it starts at another one, so that equally busy ones share; Math.random would
// seed itself anew for every request.
function pick(route, tried, ollamaOnly) {
    const backends = route[2];
    const count = backends.length;
    const conditions = ngx.shared.ig_backends;
    const slots = ngx.shared.ig_inflight;
    const first = count === 1 ? 0 : ngx.shared.ig_turns.incr('', 1, -1) % count;
    let best;
    let lowest = Infinity;

    if (route[1] === ROUND_ROBIN && tried === '') {
        best = inTurn(route, ollamaOnly);
        if (best !== undefined) {
            return best;
        }
    }
    for (let i = 0; i < count; i++) {
        const backend = backends[(first + i) % count];
        const name = backend[NAME];
        if ((ollamaOnly && !backend[IS_OLLAMA])
            || (tried !== '' && (',' + tried).indexOf(',' + name + ',') !== -1)) {
            continue;
        }
        const busy = slots.get(name) || 0;
        let score = (busy + 1) / backend[WEIGHT];
        if (backend[MAX_IN_FLIGHT] !== 0 && busy >= backend[MAX_IN_FLIGHT]) {
            score += FULL;
        }
        const condition = conditions.get(name);
        if (condition !== undefined) {
            if (condition === 'drained') {
                continue;
            }
            if (state.isDown(condition)) {
                score += DOWN;
            }
        }
        if (score < lowest) {
            lowest = score;
            best = backend;
        }
    }
    return best;
}

// In turn, each as often as its weight says; only those that are up.
function inTurn(route, ollamaOnly) {
    const up = route[2].filter((backend) => {
        const condition = ngx.shared.ig_backends.get(backend[NAME]);
        return (!ollamaOnly || backend[IS_OLLAMA])
            && (condition === undefined || (condition !== 'drained' && !state.isDown(condition)));
    });
    const total = up.reduce((sum, backend) => sum + backend[WEIGHT], 0);
    let turn = total === 0 ? 0 : ngx.shared.ig_turns.incr(route[0], 1, -1) % total;
    for (let i = 0; i < up.length; i++) {
        turn -= up[i][WEIGHT];
        if (turn < 0) {
            return up[i];
        }
    }
    return undefined;
}

// What the backend calls the route's model.
function upstreamName(route, backend) {
    return backend[UPSTREAM_NAME] || route[0];
}

export default { NAME, RELAY, find, pick, upstreamName };
