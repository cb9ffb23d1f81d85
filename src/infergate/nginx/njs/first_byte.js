// first_byte: how long the first byte of an answer may take, and which rule says so (docs/routing.md).
//
// The operator's word is first_byte. Where there is none, the time is by what is asked for, between default
// and maximum: an answer that is not streamed begins when it is complete, so a long one needs the time its
// tokens take; a long prompt is read first; a model that is not in memory is loaded. What was measured may
// also raise the operator's word.
//
// nginx has the times in locations, one for each rung of a ladder (src/infergate/nginx/relays.py).
import * as contract from './contract.js';
import * as pace from './pace.js';
import * as streamed from './streamed.js';
import * as tokens from './tokens.js';

// A prompt is read with so many tokens a second by a small GPU that has others to serve (docs/routing.md).
const PROMPT_SPEED = 500;
// Of a model whose size nobody tells: as one of 8B.
const USUAL_MS = 40;
// Batches slow each other down.
const ROOM = 2;

// { location, why }: where the request goes to this backend.
function of(r, found, request, backend) {
    const options = found[contract.ROUTE_OPTIONS];
    let location = backend[contract.ROUTE_BACKEND_RELAY] || settings.usual_relay;
    let ladder = options.ladder || settings.ladder;
    let from = options.ladder === undefined ? 'timeouts' : 'models.' + found[contract.ROUTE_MODEL] + '.timeouts';
    const endpoint = options.endpoints === undefined ? undefined : options.endpoints[r.uri];
    if (endpoint !== undefined) {
        location = endpoint[0][found[contract.ROUTE_BACKENDS].findIndex((each) =>
            each[contract.ROUTE_BACKEND_NAME] === backend[contract.ROUTE_BACKEND_NAME])];
        ladder = endpoint.slice(1);
        from = 'endpoints.' + r.uri;
    }
    if (settings.relays.indexOf(' ' + location + ' ') === -1) {
        return { location: ofAnotherRevision(location), why: '' };
    }
    const parts = location.split('_');
    const least = Number(parts[contract.RELAY_FIRST]);
    const isSaid = ladder[contract.LADDER_SAID] === 1;
    const need = ladder[contract.LADDER_MOST] === 0 ? { ms: 0 } : isSaid ? measured(r, found, request, backend)
        : needed(r, found, request, backend, least);
    let ms = least;
    while (ms < ladder[contract.LADDER_MOST] && ms < need.ms) {
        ms = Math.min(ms * contract.RUNG_FACTOR, ladder[contract.LADDER_MOST]);
    }
    parts[contract.RELAY_FIRST] = String(ms);
    const why = ms === least ? from + (isSaid ? '.first_byte' : '.default') : need.why;
    return { location: parts.join('_'), why: 'first byte ' + ms / 1000 + ' s: ' + why + ';' };
}

// What the request needs, in ms, and why. Infinity is the maximum.
function needed(r, found, request, backend, least) {
    if (settings.media.indexOf(' ' + r.uri + ' ') !== -1) {
        return { ms: Infinity, why: 'sounds and pictures get the maximum' };
    }
    if (backend[contract.ROUTE_BACKEND_FLAGS].indexOf(contract.BACKEND_FLAG_COLD) !== -1) {
        return { ms: Infinity, why: 'it is not loaded yet' };
    }
    const prompt = promptOf(request);
    const extra = request.bytes > settings.short_prompt ? prompt.ms : 0;
    if (tokens.wordOf(r.uri) === undefined || streamed.isStreamed(r.uri, request)) {
        return { ms: extra === 0 ? 0 : least + extra, why: prompt.why };
    }
    const answer = answerOf(r, request, backend, paceOf(found));
    if (answer === undefined) {
        return { ms: Infinity, why: 'not streamed, and no max_tokens' };
    }
    return { ms: extra + Math.max(least, answer.ms), why: answer.why + (extra === 0 ? '' : ', ' + prompt.why) };
}

// The same of an answer whose model was measured.
function measured(r, found, request, backend) {
    const known = pace.open().of(found[contract.ROUTE_MODEL]);
    return known === undefined || tokens.wordOf(r.uri) === undefined || streamed.isStreamed(r.uri, request) ? { ms: 0 }
        : answerOf(r, request, backend, { ms: known, why: 'as measured' }) || { ms: 0 };
}

// How long the answer takes, of a length that the request says; undefined if it says none to this backend.
function answerOf(r, request, backend, each) {
    const isBounded = tokens.isBounded(
        r.uri, request.parsed, backend[contract.ROUTE_BACKEND_FLAGS].indexOf(contract.BACKEND_FLAG_OLLAMA) !== -1);
    const count = isBounded ? tokens.asked(r.uri, request, false).each || 0 : 0;
    return count === 0 ? undefined : { ms: ROOM * count * each.ms,
        why: 'not streamed, ' + count + ' tokens at ' + Math.round(each.ms * 10) / 10 + ' ms, ' + each.why };
}

function paceOf(found) {
    const known = pace.open().of(found[contract.ROUTE_MODEL]);
    if (known !== undefined) {
        return { ms: known, why: 'as measured' };
    }
    const bySize = found[contract.ROUTE_PACE];
    return bySize === undefined ? { ms: USUAL_MS, why: 'as usual' } : { ms: bySize, why: 'by its size' };
}

function promptOf(request) {
    const count = Math.round((request.bytes || 0) / contract.BYTES_PER_TOKEN);
    return { ms: count / PROMPT_SPEED * 1000, why: 'a prompt of about ' + count + ' tokens' };
}

// Whether no first byte in so many seconds tells of the request and not of the backend: its own size needs longer.
function explains(r, found, request, backend, seconds) {
    const known = pace.open().of(found[contract.ROUTE_MODEL]);
    const answer = known === undefined || tokens.wordOf(r.uri) === undefined || streamed.isStreamed(r.uri, request) ? undefined
        : answerOf(r, request, backend, { ms: known, why: '' });
    return promptOf(request).ms + (answer === undefined ? 0 : answer.ms / ROOM) > seconds * 1000;
}

// The end of a location's name, which tells how the backend is reached (nginx/relays.py): '' or _…
function ending(location) {
    return [''].concat(location.split('_').slice(contract.RELAY_PARTS)).join('_');
}

// While nginx is being reloaded, workers and routes may be of two revisions for a moment. A location of
// the other one is none here, and would be answered 500: the one with the longest timeouts will do.
function ofAnotherRevision(location) {
    const same = settings.relays.trim().split(' ').filter((each) => ending(each) === ending(location));
    return same.length === 0 ? location : same[same.length - 1];
}

export { ending, of, explains };
