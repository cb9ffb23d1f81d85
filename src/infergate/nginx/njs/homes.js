// homes: the policies prefix and session. Which backend has what a request needs in its memory: the
// conversation's KV cache, the caller's session.
//
// Where nothing is remembered, a weighted hash decides (affinity.js). What was decided is remembered (ig_affinity,
// least recently used go first, so its memory is bounded): a conversation stays where it is when backends come back.
import crypto from 'crypto';
import * as affinity from './affinity.js';
import * as busyness from './busyness.js';
import * as contract from './contract.js';
import * as memory from './memory.js';

// A backend is overloaded above this many times its even share of what is in flight, but not below
// so many requests, or half of what it can take: an idle GPU does not gain from a second conversation.
const BOUND = 1.25, CALM = 8;
// New conversations go elsewhere from this many times the even share of the recent ones.
const EVEN = 1.1;
const RECENT = 1000;
// How much of a conversation tells it from others.
const PREFIX = 2000;

// See balance.js.
function open(r, route, request, tried, those) {
    const key = tried === '' ? keyOf(r, route, request) : '';
    const able = key === '' ? [] : those();
    if (able.length === 0) {
        return busyness.open(r, route);
    }
    const known = ngx.shared.ig_affinity.get(key);
    const home = able.find((backend) => backend[contract.ROUTE_BACKEND_NAME] === known) || firstHome(route, key, able);
    if (isOverloaded(home, able)) {
        return busyness.open(r, route);
    }
    const score = busyness.before(home[contract.ROUTE_BACKEND_NAME], r, route).score;

    // The next one of its kind should go there, too.
    function taken(name) {
        if (home[contract.ROUTE_BACKEND_NAME] !== known) {
            memory.perhaps(() => ngx.shared.ig_affinity.set(key, name));
            memory.perhaps(() => countPlaced(route, name));
        }
    }

    return { score, taken, told: '' };
}

function firstHome(route, key, backends) {
    const placed = (backend) => ngx.shared.ig_turns.get(route[contract.ROUTE_MODEL] + '\n' + backend[contract.ROUTE_BACKEND_NAME]) || 0;
    const home = affinity.byHash(key, backends);
    return overEven(home, backends, placed) <= EVEN ? home
        : backends.slice().sort((one, other) => overEven(one, backends, placed) - overEven(other, backends, placed))[0];
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
    const parsed = request.parsed || {};
    const text = route[contract.ROUTE_BALANCE] === 'session'
        ? r.variables['http_' + route[contract.ROUTE_OPTIONS].session.replace(/-/g, '_')] || userOf(parsed, request.whole)
        : opening(parsed, request.whole);
    return text === '' ? '' : crypto.createHash('md5').update(route[contract.ROUTE_MODEL] + '\n' + text).digest('base64');
}

// The backend's share of a whole, over its share of the weights: 1 is even.
function overEven(backend, backends, count) {
    let whole = 0;
    let weights = 0;
    backends.forEach((each) => {
        whole += count(each);
        weights += each[contract.ROUTE_BACKEND_WEIGHT];
    });
    return (count(backend) + 1) * weights / ((whole + 1) * backend[contract.ROUTE_BACKEND_WEIGHT]);
}

function inFlight(backend) {
    return ngx.shared.ig_inflight.get(backend[contract.ROUTE_BACKEND_NAME]) || 0;
}

function isOverloaded(backend, backends) {
    const busy = inFlight(backend);
    return busy + 1 > Math.max(CALM, backend[contract.ROUTE_BACKEND_MAX_IN_FLIGHT] / 2)
        && overEven(backend, backends, inFlight) > BOUND;
}

function countPlaced(route, name) {
    const turns = ngx.shared.ig_turns;
    if (turns.incr(route[contract.ROUTE_MODEL] + '\n' + name, 1, 0) > RECENT) {
        route[contract.ROUTE_BACKENDS].forEach((backend) => {
            const each = route[contract.ROUTE_MODEL] + '\n' + backend[contract.ROUTE_BACKEND_NAME];
            turns.set(each, (turns.get(each) || 0) / 2);
        });
    }
}

export { open };
