// keeping: see keep.js. What is decided where no answer is known to be kept, and about streams.
import * as contract from './contract.js';
import * as keep from './keep.js';


function isCompletions(uri) {
    return uri === '/v1/chat/completions' || uri === '/v1/completions';
}

// Whether the same request has the same answer: one choice, without a throw of dice.
function isDeterministic(request) {
    const body = request.parsed;
    return body.temperature === 0 && (body.n === undefined || body.n === null || body.n === 1);
}

// '' where the answer is not kept.
function kind(uri, request, cache) {
    if (settings.kept[uri] !== undefined) {
        return request.stream === true ? '' : 'cached';
    }
    if (cache[contract.CACHE_OPTION_COMPLETIONS] !== 1 || !isCompletions(uri) || !isDeterministic(request)) {
        return '';
    }
    return request.stream === true ? 'stream' : 'cached';
}

// How old an answer may be for this caller, in ms; undefined where it must not be kept at all.
// https://www.rfc-editor.org/rfc/rfc9111#section-5.2.1
function oldest(header) {
    if (header === undefined) {
        return Infinity;
    }
    const text = header.toLowerCase();
    if (text.indexOf('no-store') !== -1) {
        return undefined;
    }
    return text.indexOf('no-cache') === -1 ? maxAge(text) : -1;
}

function maxAge(text) {
    const at = text.indexOf('max-age=');
    return at === -1 ? Infinity : (parseInt(text.slice(at + 8), 10) || 0) * 1000;
}

// Who keeps the answer, as $ig_keep; '' if nobody does. Sets the variables that go with it.
function find(r, request, found, tenant, digest) {
    const variables = r.variables;
    const options = found[contract.ROUTE_OPTIONS];
    // After a reload, routes come a moment later than these files; nothing is kept meanwhile. A line break
    // in the name would pass for one of ig_kept.
    const where = options.cache[contract.CACHE_OPTION_WHO_ANSWERS] === settings.who_answers && request.model.indexOf('\n') === -1
        ? kind(r.uri, request, options.cache) : '';
    const age = where === '' ? undefined : oldest(r.variables.http_cache_control);
    if (age === undefined) {
        variables.ig_uncached = where === '' ? '' : 'BYPASS';
        return '';
    }
    const name = (options.cache[contract.CACHE_OPTION_SHARED] === 1 ? keep.EVERYBODY : tenant) + digest;
    variables.ig_keep = where;
    if (where === 'stream') {
        variables.ig_cache_key = options.cache[contract.CACHE_OPTION_TTL] + ' ' + name;
        variables.ig_uncached = has(name, age) ? 'HIT' : 'MISS';
    } else {
        variables.ig_cache_key = keyOf(name, age, request.model, found);
    }
    return where;
}

// Under which nginx may have the answer; a new one, where it must not be given.
function keyOf(name, age, named, found) {
    const zone = ngx.shared.ig_kept;
    const options = found[contract.ROUTE_OPTIONS];
    const now = Date.now();
    const known = zone.get(name);
    const key = known === undefined ? '' : known.slice(0, known.indexOf('\n'));
    const since = Number(key.slice(0, key.indexOf(' ')));
    if (known !== undefined && now - since <= age) {
        return key;
    }
    const next = (known !== undefined && now <= since ? since + 1 : now) + ' ' + name.split('\n').join(' ');
    const entry = next + '\n' + found[contract.ROUTE_MODEL] + '\n' + named + '\n' + (options.limits === undefined ? '' : 'limited');
    if (known === undefined && !zone.add(name, entry, options.cache[contract.CACHE_OPTION_TTL])) {
        return keyOf(name, age, named, found);   // another worker was quicker
    }
    if (known !== undefined) {
        zone.set(name, entry, options.cache[contract.CACHE_OPTION_TTL]);
    }
    return next;
}

function has(name, age) {
    const text = ngx.shared.ig_streams.get(name);
    return text !== undefined && Date.now() - Number(text.split('\n', 2)[1]) <= age;
}

// A stream that was kept; undefined if it is not there any longer.
function replayed(r) {
    const key = r.variables.ig_cache_key;
    const text = ngx.shared.ig_streams.get(key.slice(key.indexOf(' ') + 1));
    if (text === undefined) {
        return undefined;
    }
    const head = text.split('\n', 3);
    return { model: head[0], type: head[2], text: text.slice(head.join('\n').length + 1) };
}

// Keeps a stream that came to its good end, unless its backend says no. pieces: buffers; without:
// what takes out of the text what only we asked for.
function keepStream(r, pieces, without) {
    const said = (r.headersOut['Cache-Control'] || '').toLowerCase();
    if (said.indexOf('no-store') !== -1 || said.indexOf('no-cache') !== -1 || said.indexOf('private') !== -1) {
        return;
    }
    const key = r.variables.ig_cache_key;
    const space = key.indexOf(' ');
    const ttl = Math.min(Number(key.slice(0, space)), maxAge(said));
    const head = [r.variables.ig_model, Date.now(), r.headersOut['Content-Type'], ''].join('\n');
    try {
        if (ttl > 0) {
            ngx.shared.ig_streams.set(key.slice(space + 1), head + without(Buffer.concat(pieces).toString()), ttl);
        }
    } catch (e) {   // no room for one of this size
        r.warn('a stream was not kept: ' + e);
    }
}

export { isCompletions, find, replayed, keepStream };
