// quick: the backend of a request that takes the short way, and the body for it.
import * as admit from './admit.js';
import * as answer from './answer.js';
import * as anthropic from './anthropic.js' with { load: 'rare' };
import * as check from './check.js' with { load: 'lazy' };
import * as door from './door.js';
import * as hold from './hold.js' with { load: 'rare' };
import * as limits from './limits.js' with { load: 'lazy' };
import * as plain from './plain.js';
import * as policy from './policy.js';
import * as route from './route.js';
import * as scan from './scan.js' with { load: 'lazy' };
import * as state from './state.js';
import * as streamOptions from './stream_options.js' with { load: 'rare' };
import * as tokens from './tokens.js' with { load: 'lazy' };

// The body for the backend that it chooses; undefined for what the short way does not do. '' where all is
// decided and the request goes on in another location, with $ig_body: see @careful.
// request, found: the body and its route, where they are known; met: it took from its limits then. One
// function, because another costs every request as much as a look-up in shared memory.
function decide(r, request, found, met) {
    const isOwn = found === undefined;
    let isLong = false;   // answered in one piece, which nobody bounds: by the location of the longest time
    if (isOwn) {
        request = plain.read(r, door.size) || (door.size > settings.quick_bytes ? undefined : scan.read(r));
        if (request === undefined) {
            return undefined;
        }
        found = route.look(request.model);
    } else if (request.bytes > settings.quick_bytes) {
        return undefined;
    }
    const asked = request.model;
    if (!found || !policy.mayUse(door.keyPolicy, found[0], asked)) {
        return undefined;
    }
    const options = found[route.OPTIONS];
    if (options !== 0 && isForRelay(r, found, options, request)) {
        return undefined;
    }
    if ((options === 0 || options.validation === undefined) && request.verdict === 'odd') {
        return undefined;
    }
    if (request.bytes >= settings.held_least && hold.isHeld(r, found, request)) {
        return undefined;
    }
    const isStream = request.stream === true;
    const uri = r.uri;
    const isOllama = uri[1] === 'a';   // /api/…
    if (!isStream) {   // longer than the usual time, perhaps: first_byte.js looks at how long
        // A number, where the endpoint's engines read it: /api/… and /v1/responses have it elsewhere.
        const longest = request.in_all !== undefined && uri[5] === 'h' && !(request.max_tokens > request.in_all)
            ? request.in_all : request.max_tokens;
        if (!(longest >= 1) || isOllama || uri[4] === 'r') {
            if (settings.quick_unsaid.indexOf(' ' + uri + ' ') !== -1 && (!isOllama || request.stream === false)) {
                // $ig_peer is empty without a backend, and stays what it was when it was asked first: hot.js.
                const said = tokens.asked(uri, request, false);
                if (!isOwn || settings.quick_long === '' || admit.flags.indexOf('x') !== -1
                    || said.error !== undefined || said.each !== undefined || r.variables.ig_peer !== '') {
                    return undefined;
                }
                isLong = true;
            } else if (settings.quick_unsaid === '' && request.verdict !== 'usual'
                && tokens.wordOf(uri) !== undefined && tokens.asked(uri, request, false).each > settings.quick_tokens) {
                return undefined;
            }
        } else if (longest > settings.quick_tokens) {
            return undefined;
        }
    } else {   // what stream_options.js puts right
        const said = request.parsed.stream_options;
        if (said !== undefined && (said === null || said.include_usage !== true)) {
            return undefined;
        }
    }
    let system;   // what anthropic.js refuses, or takes out
    if (uri[4] === 'm') {   // /v1/messages
        const version = r.variables.http_anthropic_version;
        if (version !== undefined && version !== anthropic.VERSION) {
            return undefined;
        }
        system = request.parsed.system;
    } else if (uri[5] === 'h') {   // /v1/chat/completions
        const head = request.parsed.messages && request.parsed.messages[0];
        if (head && head.role !== 'user') {
            system = head.content;
        }
    }
    if (system !== undefined && system !== null) {
        const first = typeof system === 'string' ? system : system[0] && system[0].text;
        if (typeof first === 'string'
            && (request.buffer === undefined ? first : scan.beginning(request, first)).startsWith(anthropic.ATTRIBUTION)) {
            return undefined;
        }
    }
    const waits = options !== 0 && options.queue !== undefined;
    const backend = route.pick(r, found, request, '', waits, isOllama ? 'o' : undefined);
    if (backend === undefined) {
        return undefined;
    }
    const variables = r.variables;
    const name = variables.ig_backend = backend[route.NAME];   // at once: see state.drop
    if (backend[route.FLAGS].indexOf('c') !== -1   // it is loaded first, or does not read what bounds the answer
        || (request.verdict === 'fine' && !isStream && request.parsed.max_completion_tokens !== undefined
            && backend[route.FLAGS].indexOf('o') !== -1)) {
        return undefined;
    }
    const flags = admit.flags;
    let charged = false;
    if (flags !== '' || (options !== 0 && options.limits !== undefined)) {
        if (!met && limits.meet(r, door.keyPolicy, flags, options, request) !== undefined) {
            return undefined;
        }
        charged = true;
        if (request.unbounded) {   // the key's maximum is to be written in
            return undefined;
        }
        if (flags.indexOf('x') !== -1) {
            const headers = r.headersOut;
            headers['x-infergate-backend'] = name;
            headers['x-infergate-model'] = found[0];
            headers['x-infergate-attempts'] = '1';
            headers['x-infergate-queue-ms'] = '0';
        }
    }
    const owes = route.place(r, found, request, name);
    variables.ig_model = found[0];
    if (asked !== found[0]) {
        variables.ig_model_asked = asked;
    }
    const wanted = backend[route.UPSTREAM_NAME] || found[0];
    if (isLong) {
        variables.ig_why = state.why + settings.quick_long;
        variables.ig_body = asked === wanted ? request.buffer || request.text : edited(request, wanted, '');
        return '';
    }
    variables.ig_why = state.why + settings.quick_rule;
    if (isStream) {
        if (request.verdict !== 'usual' && uri.endsWith('completions')
            && (request.parsed.n > 1 || Array.isArray(request.parsed.prompt))) {
            variables.ig_note = ' ' + tokens.choices(uri, request.parsed);
        }
        if (request.parsed.stream_options === undefined && backend[route.FLAGS].indexOf('u') !== -1
            && uri.endsWith('completions')) {
            variables.ig_note = 'strip' + variables.ig_note;
            return edited(request, wanted, streamOptions.OURS);
        }
    } else if (!isOllama) {
        answer.expectOnePiece(name, charged, state.calm && !waits, owes);
    }
    return asked === wanted ? request.buffer || request.text : edited(request, wanted, '');
}

function edited(request, name, insert) {
    return request.buffer === undefined ? plain.edited(request, name, insert) : scan.edited(request, name, insert);
}

// What this route asks for that the short way does not do.
function isForRelay(r, found, options, request) {
    return options.slow !== undefined
        || (options.validation === 'strict'
            && check.problem(r.uri, request.parsed, 'strict'))
        || (options.queue !== undefined && ngx.shared.ig_waiting.get('n ' + found[0]) > 0);
}

export { decide };
