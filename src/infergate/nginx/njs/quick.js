// quick: the backend of a request that takes the short way, and the body for it.
//
// One function, because another costs every request 1,800 instructions (docs/decisions/010): what few requests need
// is in quick_few.js.
import * as admit from './admit.js';
import * as answer from './answer.js';
import * as anthropic from './anthropic.js' with { load: 'rare' };
import * as balance from './balance.js' with { load: 'lazy' };
import * as contract from './contract.js';
import * as door from './door.js';
import * as explained from './explained.js' with { load: 'rare' };
import * as few from './quick_few.js' with { load: 'lazy' };
import * as hold from './hold.js' with { load: 'rare' };
import * as limits from './limits.js' with { load: 'lazy' };
import * as plain from './plain.js';
import * as policy from './policy.js';
import * as route from './route.js';
import * as scan from './scan.js' with { load: 'lazy' };
import * as state from './state.js';
import * as tokens from './tokens.js' with { load: 'lazy' };

// The body for the backend that it chooses; undefined for what the short way does not do. '' where all is
// decided and the request goes on in another location, with $ig_body: see @careful.
// request, found: the body and its route, where they are known; met: it took from its limits then.
function decide(r, request, found, met) {
    const isOwn = found === undefined;
    if (isOwn) {
        request = plain.read(r, door.size) || (door.size > settings.quick_bytes ? undefined : scan.read(r));
        if (request === undefined) {
            return undefined;
        }
        found = route.look(request.model);
    } else if (request.bytes > settings.quick_bytes) {
        return undefined;
    }
    if (!found || !policy.mayUse(door.keyPolicy, found[0], request.model)) {
        return undefined;
    }
    const options = found[route.OPTIONS];
    if (options === 0 ? request.verdict === 'odd' : few.isForRelay(r, found, options, request)) {
        return undefined;
    }
    const isStream = request.stream === true;
    const uri = r.uri;
    const isOllama = uri[1] === 'a';   // /api/…
    if ((isStream || isOllama) && request.bytes >= settings.held_least && hold.isHeld(r, found, request)) {
        return undefined;
    }
    let isLong = false;   // answered in one piece, which nobody bounds: by the location of the longest time
    if (isStream) {   // what stream_options.js puts right
        const said = request.parsed.stream_options;
        if (said !== undefined && (said === null || said.include_usage !== true)) {
            return undefined;
        }
    } else {   // longer than the usual time, perhaps: first_byte.js looks at how long
        // A number, where the endpoint's engines read it: /api/… and /v1/responses have it elsewhere.
        const longest = request.in_all !== undefined && uri[5] === 'h' && !(request.max_tokens > request.in_all)
            ? request.in_all : request.max_tokens;
        if (!(longest >= 1) || isOllama || uri[4] === 'r') {
            isLong = tokens.isUnbounded(uri, request);
            // $ig_peer is empty without a backend, and stays what it was when it was asked first: hot.js.
            if (isLong === undefined || (isLong && (!isOwn || settings.quick_long === ''
                || admit.flags.indexOf(contract.POLICY_FLAG_EXPLAINED) !== -1 || r.variables.ig_peer !== ''))) {
                return undefined;
            }
        } else if (longest > settings.quick_tokens) {
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
        if (settings.tier && few.isMute(found)) {
            return undefined;
        }
    } else if (settings.tier && uri[4] === 'r' && few.isMute(found)) {   // /v1/responses, /v1/rerank
        return undefined;
    } else {
        const head = (request.parsed.messages || '')[0];
        system = !head ? request.parsed.instructions : head.role !== 'user' ? head.content : undefined;
    }
    if (system && few.isAttributed(request, system)) {
        return undefined;
    }
    const waits = options !== 0 && options.queue !== undefined;
    const backend = route.pick(r, found, request, '', waits, isOllama ? contract.BACKEND_FLAG_OLLAMA : undefined);
    if (backend === undefined) {
        return undefined;
    }
    const variables = r.variables;
    variables.ig_backend = backend[route.NAME];   // at once: see state.drop
    const flags = backend[route.FLAGS];
    if (flags.indexOf(contract.BACKEND_FLAG_COLD) !== -1   // it is loaded first, or does not read what bounds the answer
        || (request.verdict === 'fine' && !isStream && request.parsed.max_completion_tokens !== undefined
            && flags.indexOf(contract.BACKEND_FLAG_OLLAMA) !== -1)) {
        return undefined;
    }
    const charged = admit.flags !== '' || (options !== 0 && options.limits !== undefined);
    if (charged) {
        if ((!met && limits.meet(r, door.keyPolicy, admit.flags, options, request) !== undefined)
            || request.unbounded) {   // the key's maximum is to be written in
            return undefined;
        }
        if (admit.flags.indexOf(contract.POLICY_FLAG_EXPLAINED) !== -1) {
            explained.tell(r, backend[route.NAME], found[0]);
        }
    }
    const owes = found[route.BALANCE] === 'work' && balance.place(r, found, request, backend[route.NAME]);
    variables.ig_model = found[0];
    if (request.model !== found[0]) {
        variables.ig_model_asked = request.model;
    }
    const wanted = backend[route.UPSTREAM_NAME] || found[0];
    let insert = '';
    variables.ig_why = state.why + (isLong ? settings.quick_long : settings.quick_rule);
    if (isStream) {
        insert = request.verdict !== 'usual' || request.parsed.stream_options === undefined
            ? few.ofStream(r, request, flags) : '';
    } else if (!isOllama && !isLong) {
        answer.expectOnePiece(backend[route.NAME], charged, state.calm && !waits, owes);
    }
    const body = insert === '' && request.model === wanted ? request.buffer || request.text
        : request.buffer === undefined ? plain.edited(request, wanted, insert) : scan.edited(request, wanted, insert);
    if (isLong) {
        variables.ig_body = body;
        return '';
    }
    return body;
}

export { decide };
