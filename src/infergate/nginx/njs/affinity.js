// affinity: which backend has what a request needs in its memory: the conversation's KV cache, the
// caller's session, a loaded model.
//
// Where nothing is remembered, the highest random weight of (what the request goes by, backend)
// decides, so that every worker and every restart come to the same answer and a backend that leaves
// moves only its own. What was decided is remembered (ig_affinity, least recently used go first, so
// its memory is bounded): a conversation stays where it is when backends come back.
import crypto from 'crypto';
import * as memory from './memory.js';

const NAME = 0, WEIGHT = 1, MAX_IN_FLIGHT = 2;

// A backend is overloaded above this many times its even share of what is in flight, but not below
// so many requests, or half of what it can take: an idle GPU does not gain from a second conversation.
const BOUND = 1.25, CALM = 8;
// New conversations go elsewhere from this many times the even share of the recent ones.
const EVEN = 1.1;
const RECENT = 1000;
// How much of a conversation tells it from others.
const PREFIX = 2000;

function open() {
    // A number in (0, 1) for a text, the same everywhere.
    function unit(text) {
        return (parseInt(crypto.createHash('md5').update(text).digest('hex').slice(0, 12), 16) + 1) / 281474976710658;
    }

    // The first messages up to the first of the user stay the same while a conversation grows. whole: see
    // scan.js.
    function opening(parsed, whole) {
        if (Array.isArray(parsed.messages)) {
            let text = '';
            for (let i = 0; i < parsed.messages.length && i < 4; i++) {
                const message = parsed.messages[i];
                text += JSON.stringify(message.content || null, whole).slice(0, PREFIX) + '\n';
                if (message.role === 'user') {
                    break;
                }
            }
            return text;
        }
        const prompt = parsed.prompt !== undefined ? parsed.prompt : parsed.input;
        return prompt === undefined ? '' : JSON.stringify(prompt, whole).slice(0, PREFIX);
    }

    function userOf(parsed, whole) {
        const user = whole === undefined ? parsed.user : whole('user', parsed.user);
        return typeof user === 'string' ? user : '';
    }

    // What a request goes by; '' if it has nothing of the kind.
    function keyOf(r, route, request) {
        if (route[1] === 'ip_hash') {
            return r.rawVariables.ig_client.toString('hex');   // access.conf
        }
        const parsed = request.parsed || {};
        const text = route[1] === 'session'
            ? r.variables['http_' + route[3].session.replace(/-/g, '_')] || userOf(parsed, request.whole)
            : opening(parsed, request.whole);
        return text === '' ? '' : crypto.createHash('md5').update(route[0] + '\n' + text).digest('base64');
    }

    function byHash(key, backends) {
        let best;
        let highest = -Infinity;
        backends.forEach((backend) => {
            const rank = -backend[WEIGHT] / Math.log(unit(key + backend[NAME]));
            if (rank > highest) {
                highest = rank;
                best = backend;
            }
        });
        return best;
    }

    // The backend's share of a whole, over its share of the weights: 1 is even.
    function overEven(backend, backends, count) {
        let whole = 0;
        let weights = 0;
        backends.forEach((each) => {
            whole += count(each);
            weights += each[WEIGHT];
        });
        return (count(backend) + 1) * weights / ((whole + 1) * backend[WEIGHT]);
    }

    function inFlight(backend) {
        return ngx.shared.ig_inflight.get(backend[NAME]) || 0;
    }

    function isOverloaded(backend, backends) {
        const busy = inFlight(backend);
        return busy + 1 > Math.max(CALM, backend[MAX_IN_FLIGHT] / 2)
            && overEven(backend, backends, inFlight) > BOUND;
    }

    function recentlyPlaced(model) {
        return (backend) => ngx.shared.ig_turns.get(model + '\n' + backend[NAME]) || 0;
    }

    // The name of the backend the request belongs to; undefined if there is none, or it is overloaded.
    function preferred(r, route, request, backends) {
        const key = keyOf(r, route, request);
        request.affinity = key;
        if (key === '' || backends.length === 0) {
            return undefined;
        }
        if (route[1] === 'ip_hash') {
            return byHash(key, backends)[NAME];
        }
        const known = ngx.shared.ig_affinity.get(key);
        const placed = recentlyPlaced(route[0]);
        let home = backends.filter((backend) => backend[NAME] === known)[0];
        if (home === undefined) {
            request.isNew = true;
            home = byHash(key, backends);
            if (overEven(home, backends, placed) > EVEN) {
                home = backends.slice().sort((one, other) =>
                    overEven(one, backends, placed) - overEven(other, backends, placed))[0];
            }
        }
        return isOverloaded(home, backends) ? undefined : home[NAME];
    }

    // The request went there; the next one of its kind should, too.
    function remember(route, request, name) {
        if (!request.affinity || route[1] === 'ip_hash') {
            return;
        }
        if (request.isNew) {
            memory.perhaps(() => ngx.shared.ig_affinity.set(request.affinity, name));
            memory.perhaps(() => countPlaced(route, name));
        }
    }

    function countPlaced(route, name) {
        const turns = ngx.shared.ig_turns;
        if (turns.incr(route[0] + '\n' + name, 1, 0) > RECENT) {
            route[2].forEach((backend) => {
                const each = route[0] + '\n' + backend[NAME];
                turns.set(each, (turns.get(each) || 0) / 2);
            });
        }
    }

    // Whether a model was sent to this box lately, so that it is in memory by now whatever the last
    // listing said. Ollama keeps a model for five minutes (OLLAMA_KEEP_ALIVE).
    function isWarm(model, name) {
        return ngx.shared.ig_affinity.get('warm ' + model + '\n' + name) !== undefined;
    }

    function warm(model, name) {
        memory.perhaps(() => ngx.shared.ig_affinity.set('warm ' + model + '\n' + name, '1', 240000));
    }

    // Where a text stands between 0 and 100, always the same place.
    function share(text) {
        return unit(text) * 100;
    }

    return { share, preferred, remember, isWarm, warm };
}

export { open };
