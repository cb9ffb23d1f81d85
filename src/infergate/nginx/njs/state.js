// state: what the control plane has put into shared memory, and the counters kept there.
//
// ig_keys      SHA-256 of a key → its policy (policy.js)
// ig_routes    model name or alias → its route (route.js)
// ig_catalog   the lists that GET /v1/models and Ollama's /api/tags answer from (catalog.js)
// ig_backends  backend → 'down' (probes say so), 'drained' (an operator does) or 'until:<ms>' (a
//              request just failed there; believed until that time). No entry: up. '' is there while
//              any backend has an entry here, in ig_breakers or in ig_load: else nobody has to look.
// ig_breakers  backend → its circuit breaker (breaker.js)
// ig_load      backend → requests it has beside ours, told by its own metrics
// ig_inflight  backend, or '@' and a bucket of limits.js → requests in flight; '<pid>:<name>' → those
//              of one worker
// ig_turns     model → count of picks
// ig_hedge, ig_hedging   see hedge_times.js and hedging.js
//
// Nothing here needs the control plane to be alive: what it pushed last is also on disk, and the
// first look-up that misses loads it. So after a start of nginx there is no moment in which a
// valid key is refused.
//
// Every function at the top of a file that a request loads costs it 0.1 µs (njs starts a fresh engine
// for it); what few requests need stands inside one called open or more, here and in the other files.
import snapshot from 'snapshot.js';

function find(zone, key) {
    const value = zone.get(key);
    return value === undefined && snapshot.load() ? zone.get(key) : value;
}

// Whether an entry of ig_backends other than 'drained' says that the backend is down now.
function isDown(condition) {
    return condition === 'down' || Number(condition.slice('until:'.length)) > Date.now();
}

// count: 1 to take a slot, -1 to give it back. Counted for the name, and for this worker, so that
// sweep.js can give it back if the worker is killed. Returns how many are taken now.
function hold(name, count) {
    const slots = ngx.shared.ig_inflight;
    slots.incr(process.pid + ':' + name, count, 0);
    return slots.incr(name, count, 0);
}

export default { find, isDown, hold };
