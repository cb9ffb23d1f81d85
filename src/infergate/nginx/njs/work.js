// work: the policy of the same name. Where the first token comes soonest: one sum for each backend, in ms.
//
//   (pending + 3 · uncached) / speed   pending: prompt tokens sent there that have no first token yet. uncached: of
//                                      this prompt, those that its prefix cache should not have (blocks.js)
//   + 50 · in flight                   what every other answer that is written costs this one
//   + 1000 · x / (1 − x)               x: how full its KV cache gets, by the prompts in flight there and this one
//   + load + evict + slot              where models are loaded on demand (residents.js)
//
// docs/decisions/034 has the reasons, and what was measured. A body below owed.SMALL is not counted: as one in
// flight it is worth more than its tokens (route.js).
//
// ig_inflight  '+<backend>' → tokens pending; '=<backend>' → prompt tokens in flight; both with those of a worker,
//              '<pid>:+<backend>'. '<<backend>' → when the tokens that are pending there for answers that are not
//              streamed are read, in ms. '%<backend>' → its odometer: tokens that it was sent to read
// ig_engines   backend → what the control plane knows of it (src/infergate/control/engines.py), as JSON: [tokens of its
//              KV cache, tokens it reads in a ms, 1 where it keeps no prefixes, tokens that its odometer was moved
//              on because it restarted, 1 where another model has to leave its memory for one that is loaded,
//              tokens that wait there for others]; 0 for what is not known
import * as blocks from './blocks.js';
import * as memory from './memory.js';
import * as owed from './owed.js';
import * as residents from './residents.js' with { load: 'rare' };
import * as state from './state.js';

const NAME = 0, WEIGHT = 1, FLAGS = 4;
const MODEL = 0, BACKENDS = 2;
const HOLDS = 0, READS = 1, DISTRUST = 2, MOVED = 3, EVICTS = 4, WAITING = 5;
const UNKNOWN = [0, 0, 0, 0, 0, 0];

// OpenAI's rule of thumb: a token is about four bytes of text.
const BYTES_PER_TOKEN = 4;
// What is read here is not read for those who come later: they wait for it, too.
const LATER = 2;
// In ms: of an answer that is written beside; of a model that is loaded; of an answer, where one is waited for.
const WRITING = 50, LOADING = 20000, ANSWER = 10000;
// Of a box that loads models: so many answers at once.
const SLOTS = 4;
// From this part of the KV cache on it gets no steeper: a shared opening counts there for each that uses it.
const BRIM = 0.9;
// Tokens that are read in any case.
const LEAST = 16;
// A sum stays below what stands against a backend (balance.js).
const MOST = 900000;
// Of an engine that says nothing (docs/routing.md): tokens that it reads in a ms, and that its KV cache holds. Too
// many cost little, too few cost much.
const SPEED = 8, CAPACITY = 1000000;

// See balance.js.
function open(r, route, request) {
    const backends = route[BACKENDS];
    const slots = state.slots();
    const engines = ngx.shared.ig_engines;
    const prompt = blocks.open(r, route[MODEL], request, BYTES_PER_TOKEN);
    const tokens = prompt.tokens;
    const now = Date.now();
    const policy = { score, taken, told: '' };
    const weighed = {};   // backend → [tokens of this prompt that it would have to read, speed, capacity, moved]
    const average = averageOf(backends);

    function score(backend, busy, others) {
        const name = backend[NAME];
        const known = engines.get(name);
        const engine = known === undefined ? UNKNOWN : JSON.parse(known);
        const share = backend[WEIGHT] / average;
        const speed = engine[READS] || SPEED * share;
        const capacity = engine[HOLDS] || CAPACITY;
        let pending = engine[WAITING];
        let full = tokens;
        if (busy !== 0) {
            pending += (slots.get('+' + name) || 0) + owed.unstreamed(slots, name, speed, now);
            full += slots.get('=' + name) || 0;
        }
        const matched = tokens === 0 || engine[DISTRUST] !== 0 ? 0
            : prompt.matched(name, () => (slots.get('%' + name) || 0) + engine[MOVED], capacity);
        const uncached = tokens === 0 ? 0 : Math.max(LEAST, tokens - matched);
        const load = backend[FLAGS].indexOf('o') === -1 ? 0 : residence(backend, busy, engine);
        weighed[name] = [uncached, speed, capacity, engine[MOVED]];
        policy.told = ':' + pending + ',' + uncached + ',' + busy + ',' + full + ',' + capacity
            + (known === undefined && others === 0 && share === 1 && load === 0 ? ''
                : ',' + round(speed) + ',' + others + ',' + round(share) + ',' + load);
        const sum = (pending + (1 + LATER) * uncached) / speed + WRITING * (busy + others) / share + load
            + 1000 * crowding(full / capacity);
        return Math.min(MOST, Math.round(sum));
    }

    // A box that loads models on demand: what is left of a load, or all of it; who has to leave, and is loaded again
    // some day; the wait for a slot. Never one without the other: slots alone drive models out for ever.
    function residence(backend, busy, engine) {
        const name = backend[NAME];
        const wait = busy < SLOTS ? 0 : (busy - SLOTS + 1) / SLOTS * ANSWER;
        if (backend[FLAGS].indexOf('c') === -1) {
            return wait;
        }
        const since = residents.sentAt(route[MODEL], name);
        if (since !== undefined) {
            return wait + Math.max(0, LOADING - (now - since));
        }
        return wait + LOADING + (engine[EVICTS] === 0 ? 0 : 2 * LOADING + (busy === 0 ? 0 : ANSWER));
    }

    // The request goes there. What it owes is written down when that is certain: the short way may give it up.
    function taken(name) {
        request.place = tokens === 0 ? undefined : () => {
            const its = weighed[name] || [tokens, SPEED, CAPACITY, 0];
            owed.owe(r, name, its[0], tokens, its[1], isStreamed(r, request), state.hold);
            const stands = memory.perhaps(() => slots.incr('%' + name, its[0], 0));
            if (stands !== undefined) {
                prompt.keep(name, stands + its[3], its[2]);
            }
        };
    }

    return policy;
}

function averageOf(backends) {
    let whole = 0;
    for (let i = 0; i < backends.length; i++) {
        whole += backends[i][WEIGHT];
    }
    return whole / backends.length;
}

// What a KV cache that is so full costs, in s.
function crowding(filled) {
    return filled <= BRIM ? filled / (1 - filled) : 9 + 10 * Math.min(1, filled - BRIM);
}

function isStreamed(r, request) {
    return request.stream === true || (r.uri.startsWith('/api/') && request.stream !== false);
}

// For the log, from which src/infergate/admin/told.py tells the sum.
function round(number) {
    return Math.round(number * 10000) / 10000;
}

// What others are in the way of a small prompt, in ms: the sum without what is the same for all.
function crowd(slots, name, busy) {
    const filled = Math.min(BRIM, (slots.get('=' + name) || 0) / CAPACITY);
    return Math.round(WRITING * busy + ((slots.get('+' + name) || 0)
        + owed.unstreamed(slots, name, SPEED, Date.now())) / SPEED + 1000 * filled / (1 - filled));
}

export { WRITING, SPEED, CAPACITY, open, crowd };
