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
// ig_engines   what the control plane knows of them: 'capacity <backend>' → tokens of its KV cache; 'speed
//              <backend>' → tokens it reads in a ms; 'distrust <backend>' → 1 where it keeps no prefixes; 'moved <backend>' → of its odometer, because it restarted;
//              'evicts <backend>' → 1 where another model has to leave its memory for one that is loaded. '' is
//              there while anything else is
import * as blocks from './blocks.js';
import * as memory from './memory.js';
import * as owed from './owed.js';
import * as residents from './residents.js' with { load: 'rare' };
import * as state from './state.js';

const NAME = 0, WEIGHT = 1, FLAGS = 4;
const MODEL = 0, BACKENDS = 2;

// OpenAI's rule of thumb: a token is about four bytes of text.
const BYTES_PER_TOKEN = 4;
// What is read here is not read for those who come later: they wait for it, too.
const LATER = 2;
// In ms: of an answer that is written beside; of a request that an engine has of others (health/load.py), which may have
// its prompt before it; of a model that is loaded; of an answer, where one is waited for.
const WRITING = 50, OTHER = 250, LOADING = 20000, ANSWER = 10000;
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
    const known = engines.get('') !== undefined;
    const whole = backends.reduce((sum, backend) => sum + backend[WEIGHT], 0);
    const prompt = blocks.open(r, route[MODEL], request, BYTES_PER_TOKEN);
    const now = Date.now();
    const policy = { score, taken, told: '' };
    const unread = {};   // backend → tokens of this prompt that it would have to read

    function of(what, name, otherwise) {
        return (known ? engines.get(what + ' ' + name) : undefined) || otherwise;
    }

    function odometer(name) {
        return (slots.get('%' + name) || 0) + of('moved', name, 0);
    }

    function score(backend, busy, others) {
        const name = backend[NAME];
        const share = backend[WEIGHT] * backends.length / whole;
        const speed = of('speed', name, SPEED * share);
        const capacity = of('capacity', name, CAPACITY);
        const pending = busy === 0 ? 0 : (slots.get('+' + name) || 0)
            + owed.unstreamed(slots, name, speed, now);
        const matched = prompt.matched(name, odometer, capacity) * (1 - of('distrust', name, 0));
        const uncached = unread[name] = Math.max(LEAST, prompt.tokens - matched);
        const filled = ((busy === 0 ? 0 : slots.get('=' + name) || 0) + prompt.tokens) / capacity;
        const full = filled <= BRIM ? filled / (1 - filled) : 9 + 10 * Math.min(1, filled - BRIM);
        const load = backend[FLAGS].indexOf('o') === -1 ? 0 : residence(backend, busy);
        const sum = (pending + (1 + LATER) * uncached) / speed + (WRITING * busy + OTHER * others) / share + 1000 * full + load;
        policy.told = ':' + [pending, uncached, speed, busy, others, share, filled, load].map(round);
        return Math.min(MOST, Math.round(sum));
    }

    // A box that loads models on demand: what is left of a load, or all of it; who has to leave, and is loaded again
    // some day; the wait for a slot. Never one without the other: slots alone drive models out for ever.
    function residence(backend, busy) {
        const name = backend[NAME];
        const wait = busy < SLOTS ? 0 : (busy - SLOTS + 1) / SLOTS * ANSWER;
        if (backend[FLAGS].indexOf('c') === -1) {
            return wait;
        }
        const since = residents.sentAt(route[MODEL], name);
        if (since !== undefined) {
            return wait + Math.max(0, LOADING - (now - since));
        }
        return wait + LOADING + (of('evicts', name, 0) === 0 ? 0 : 2 * LOADING + (busy === 0 ? 0 : ANSWER));
    }

    // The request goes there. What it owes is written down when that is certain: the short way may give it up.
    function taken(name) {
        if (!(request.bytes >= owed.SMALL)) {
            return;
        }
        request.place = () => {
            const uncached = unread[name] === undefined ? prompt.tokens : unread[name];
            const speed = of('speed', name, SPEED);
            owed.owe(r, name, uncached, prompt.tokens, speed, isStreamed(r, request), state.hold);
            const stands = memory.perhaps(() => slots.incr('%' + name, uncached, 0));
            if (stands !== undefined) {
                prompt.keep(name, stands + of('moved', name, 0));
            }
        };
    }

    return policy;
}

function isStreamed(r, request) {
    return request.stream === true || (r.uri.startsWith('/api/') && request.stream !== false);
}

// For the log, from which src/infergate/admin/told.py tells the sum.
function round(number) {
    return Math.round(number * 10000) / 10000;
}

export { WRITING, SPEED, CAPACITY, open };
