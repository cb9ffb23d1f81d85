// state: what the control plane has put into shared memory, and the counters kept there.
//
// ig_keys      SHA-256 of a key → its policy (policy.js)
// ig_routes    model name or alias → its route (route.js)
// ig_catalog   the lists that GET /v1/models and Ollama's /api/tags answer from (catalog.js)
// ig_backends  backend → 'down' (probes say so), 'drained' (an operator does) or 'until:<ms>' (a
//              request just failed there; believed until that time). No entry: up
// ig_breakers  backend → its circuit breaker (breaker.js)
// ig_load      backend → requests it has besides ours, told by its own metrics, and what strain and a
//              slow start count for (docs/health.md)
// ig_inflight  backend, or '@' and a bucket of limits.js (charge.js) → requests in flight;
//              '<pid>:<name>' → those of one worker; '/<model>' → count of picks; '' is there while any
//              backend has an entry in ig_backends, ig_breakers or ig_load: else nobody has to look there;
//              '+', '<' and '%' before a backend: see work.js
// ig_engines, ig_blocks   see work.js and blocks.js
// ig_turns     how fast models answer, how conversations are spread (homes.js); '/<model>' → turns of
//              backends that were out, gone to the next in route.js
// ig_hedge, ig_hedging   see hedge_times.js and hedging.js
//
// Nothing here needs the control plane to be alive: what it pushed last is also on disk, and the
// first look-up that misses loads it. So after a start of nginx there is no moment in which a
// valid key is refused.
//
// What makes a request slow here is the first use of anything: njs starts a fresh engine for it, and
// each built-in function is copied when it is first called (0.2 µs), each look at ngx.shared makes an
// object (0.3 µs with its functions), each function at the top of a file costs 0.05 µs. So the short
// way uses few kinds of each, and what few requests need stands inside a function called open or
// more, or in a file that is imported seldom (nginx/bundle.py). docs/decisions/010 has the numbers.
import * as contract from './contract.js';
import * as owed from './owed.js' with { load: 'lazy' };
import * as snapshot from './snapshot.js' with { load: 'rare' };

function find(zone, key) {
    const value = zone.get(key);
    if (value !== undefined) {
        return value;
    }
    snapshot.load();
    return zone.get(key);   // another worker may have loaded it since the first look
}

// Whether an entry of ig_backends other than 'drained' says that the backend is down now.
function isDown(condition) {
    return condition === contract.AGAINST_DOWN || Number(condition.slice(contract.AGAINST_FAILED_UNTIL.length)) > Date.now();
}

// Longer than anything lasts, in ms: the timeout of ig_inflight (nginx/zones.py).
const LONG = contract.FOR_EVER_MS;

const shared = ngx.shared;   // to ask for it costs as much as for two entries
let zone, worker;   // of the counters, and what stands before the names of this worker's; see slots
// What route.js weighed when it chose the backend, and whether nothing stood against any of them.
let why, calm;

function weighed(text, isCalm) {
    why = text;
    calm = isCalm;
}

function slots() {
    if (zone === undefined) {
        worker = process.pid + ':';
        zone = shared.ig_inflight;
    }
    return zone;
}

// count: 1 to take a slot of a backend, -1 to give it back. Counted for the name, and for this worker,
// so that sweep.js can give it back if the worker is killed. Returns how many are taken now. Throws
// where there is no room, and has counted nothing then; what is given back was counted, and has room.
// timeout: of the entries (charge.js); the zone's, if not given.
function hold(name, count, timeout) {
    if (zone === undefined) {
        slots();
    }
    zone.incr(worker + name, count, 0, timeout);
    if (count < 0) {
        return zone.incr(name, count, 0, timeout);
    }
    try {
        return zone.incr(name, count, 0, timeout);
    } catch (e) {
        zone.incr(worker + name, -count, 0, timeout);
        throw e;
    }
}

// Gives back the slot that the request has, if it has one, and what it owes (owed.js). It stands in $ig_backend from the moment it
// was taken, so whoever meets a failure gives it back so, and once.
function drop(r) {
    if (r.variables.ig_owed !== '') {
        owed.settle(r, hold, false);
    }
    const name = r.variables.ig_backend;
    if (name !== '') {
        hold(name, -1);
        r.variables.ig_backend = '';
    }
}

export { worker, why, calm, weighed, LONG, shared, find, isDown, slots, hold, drop };
