// work: the policy of the same name. Where the first token comes soonest: one sum for each backend, in ms.
//
//   (pending + 3 · uncached) / speed   pending: prompt tokens sent there that have no first token yet. uncached: of
//                                      this prompt, those that its prefix cache should not have (blocks.js)
//   + 50 · in flight                   what every other answer that is written costs this one
//   + 1000 · x / (1 − x)               x: how full its KV cache gets, by the prompts in flight there and this one
//   + load + evict + slot              where models are loaded on demand (residents.js)
//
// docs/decisions/034 has the reasons, and what was measured. A body below SMALL counts as a request in flight, which
// is more than its tokens are worth. went.js writes down where a request went.
//
// ig_inflight  '+<backend>' → OWED_PENDING times the tokens pending, and the prompt tokens in flight; with those of a
//              worker, '<pid>:+<backend>'. '<<backend>' → when the tokens that are pending there for answers that are
//              not streamed are read, in ms. '%<backend>' → its odometer: tokens that it was sent to read
// ig_engines   backend → what the control plane knows of it, as JSON (EngineFact in src/infergate/contract)
//
// Written for few functions that share variables, and few of these: either costs a request hundreds of instructions.
// Those below are each called at one place, and stand there when it runs (nginx/njs_inline.py).
import * as blocks from './blocks.js' with { load: 'lazy' };
import * as contract from './contract.js';
import * as residents from './residents.js' with { load: 'rare' };
import * as state from './state.js';
import * as went from './went.js' with { load: 'lazy' };

// A body of fewer bytes counts as a request and not by its tokens, which take an eighth of a second at most.
const SMALL = 4096;
// What is read here is not read for those who come later: they wait for it, too.
const LATER = 2;
// In ms, of an answer that is written beside.
const WRITING = 50;
// From this part of the KV cache on it gets no steeper: a shared opening counts there for each that uses it.
const BRIM = 0.9;
// Tokens that are read in any case; and more than any prompt has, so that sums stay exact.
const LEAST = 16, LONGEST = 1000000;
// A sum stays below what stands against a backend (balance.js).
const MOST = 900000;

// See balance.js. What it found out stands in request.work: went.js and quick.js go by it.
function open(r, route, request) {
    const slots = state.slots();
    const prompt = promptOf(r, route, request);
    const tokens = prompt === undefined ? 0 : prompt.tokens > LONGEST ? LONGEST : prompt.tokens;
    const known = prompt === undefined ? '' : prompt.known;
    const engines = state.shared.ig_engines;
    const average = averageOf(route);
    const policy = { score, taken, told: '', tokens, hashes: prompt === undefined ? [] : prompt.hashes, its: [] };
    let lowest = MOST + 1;
    let idle = -1;         // what it costs at one of several alike that does nothing and of which nothing is known
    if (tokens !== 0) {
        request.work = policy;
    }

    // isIt: it goes there, whatever it costs.
    function score(backend, busy, others, isLast, isIt) {
        const name = backend[contract.ROUTE_BACKEND_NAME];
        const text = engines.get(name);
        const engine = text === undefined ? undefined : JSON.parse(text);
        let at = known === '' ? -1 : known.indexOf('\n' + name + '=');
        const isPlain = average === 0 && busy === 0 && engine === undefined && at === -1 && others === 0;
        if (isPlain && idle !== -1 && !isIt) {
            return idle;   // no lower than the one before, and nothing to tell
        }
        const share = average === 0 ? 1 : backend[contract.ROUTE_BACKEND_WEIGHT] / average;
        const speed = engine === undefined ? contract.PREFILL_TOKENS_MS * share : engine[contract.ENGINE_FACT_READS] || contract.PREFILL_TOKENS_MS * share;
        const capacity = engine === undefined ? contract.KV_CACHE_TOKENS
            : engine[contract.ENGINE_FACT_HOLDS] || contract.KV_CACHE_TOKENS;
        let pending = engine === undefined ? 0 : engine[contract.ENGINE_FACT_WAITING];
        let inFlight = 0;   // tokens of prompts
        let uncached = tokens;
        let entry = -1;   // of its deepest block that is young enough
        if (busy !== 0) {
            const owed = slots.get('+' + name) || 0;
            const unread = unreadOf(slots, name, owed, speed);
            inFlight = owed % contract.OWED_PENDING;
            pending += unread;
        }
        for (; at !== -1; at = known.indexOf('\n' + name + '=', at + 1)) {
            entry = +known.slice(at + name.length + 2, known.indexOf('\n', at + 1));
            const depth = entry % blocks.DEPTHS;
            const age = (slots.get('%' + name) || 0) + (engine === undefined ? 0 : engine[contract.ENGINE_FACT_MOVED])
                - (entry - depth) / blocks.DEPTHS;
            if (age >= 0 && age <= capacity) {
                uncached -= depth * contract.PROMPT_BLOCK / contract.BYTES_PER_TOKEN
                    * (engine === undefined ? 1 : 1 - engine[contract.ENGINE_FACT_DISTRUST]) >>> 0;
                break;
            }
        }
        if (uncached < LEAST && tokens !== 0) {
            uncached = LEAST;
        }
        const load = backend[contract.ROUTE_BACKEND_FLAGS].indexOf(contract.BACKEND_FLAG_OLLAMA) === -1 ? 0
            : residents.cost(
                route[contract.ROUTE_MODEL], backend, busy, engine === undefined ? 0 : engine[contract.ENGINE_FACT_EVICTS]);
        const crowd = crowding((inFlight + tokens) / capacity);
        let sum = (pending + (1 + LATER) * uncached) / speed + WRITING * (busy + others) / share + load + crowd;
        sum = sum > MOST ? MOST : sum + 0.5 >>> 0;
        if (sum < lowest || isIt) {
            lowest = sum;
            policy.its = [name, uncached, speed, capacity, engine === undefined ? 0 : engine[contract.ENGINE_FACT_MOVED], entry];
        }
        const more = unusual(engine, others, share, load, speed);
        policy.told = ':' + pending + ',' + uncached + ',' + busy + ',' + inFlight + ',' + capacity + more;
        if (isPlain && load === 0) {
            idle = sum;
        }
        return sum;
    }

    return policy;
}

// Of which it has to be known what is in a prefix cache; undefined for what counts as a request.
function promptOf(r, route, request) {
    if (!(request.bytes >= SMALL) || request.text === undefined) {
        return undefined;
    }
    return request.bytes >= contract.PROMPT_BLOCK ? blocks.open(r, route[contract.ROUTE_MODEL], request)
        : { tokens: (request.bytes + contract.BYTES_PER_TOKEN - 1) / contract.BYTES_PER_TOKEN >>> 0, known: '', hashes: [] };
}

// Of the backends' weights; 0 where all are alike.
function averageOf(route) {
    let average = 0;
    for (let i = route[contract.ROUTE_NAMES] === 0 ? route[contract.ROUTE_BACKENDS].length : 0; i !== 0; i--) {
        average += route[contract.ROUTE_BACKENDS][i - 1][contract.ROUTE_BACKEND_WEIGHT]
            / route[contract.ROUTE_BACKENDS].length;
    }
    return average;
}

// Tokens that have no first one yet, of what it owes: of answers that are streamed, and of the others by the time.
function unreadOf(slots, name, owed, speed) {
    const leaks = (slots.get('<' + name) || 0) - Date.now();
    return (owed - owed % contract.OWED_PENDING) / contract.OWED_PENDING
        + (leaks > 0 ? leaks * speed * went.LEAK >>> 0 : 0);
}

// In ms, of a KV cache that gets so full.
function crowding(x) {
    return 1000 * (x <= BRIM ? x / (1 - x) : 9 + 10 * (x < 1 + BRIM ? x - BRIM : 1));
}

// What is told only where one of these is unusual.
function unusual(engine, others, share, load, speed) {
    return engine === undefined && others === 0 && share === 1 && load === 0 ? ''
        : ',' + Math.round(speed * 10000) / 10000 + ',' + others + ',' + Math.round(share * 10000) / 10000 + ',' + load;
}

function taken() {
    return undefined;   // went.js does it when that is certain: the short way may give it up
}

export { SMALL, open };
