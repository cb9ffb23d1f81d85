// quick: the backend of a request that takes the short way, and the body for it.
//
// Each function is called at one place, so all of it is one when it runs (nginx/njs_inline.py): another costs every
// request some hundred instructions. What few requests need is in quick_few.js.
import * as admit from './admit.js';
import * as answer from './answer.js';
import * as anthropic from './anthropic.js' with { load: 'rare' };
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
import * as went from './went.js' with { load: 'lazy' };

// The body for the backend that it chooses; undefined for what the short way does not do. '' where all is
// decided and the request goes on in another location, with $ig_body: see @careful.
// request, found: the body and its route, where they are known; met: it took from its limits then.
function decide(r, request, found, met) {
    const isOwn = found === undefined;
    if (isOwn) {
        request = read(r);
        if (request === undefined) {
            return undefined;
        }
        found = route.look(request.model);
    } else if (request.bytes > settings.quick_bytes) {
        return undefined;
    }
    const uri = r.uri;
    const isOllama = uri[1] === 'a';   // /api/…
    if (isElsewhere(r, request, found, isOllama)) {
        return undefined;
    }
    const isLong = willLast(r, request, uri, isOllama, isOwn);
    if (isLong === undefined) {
        return undefined;
    }
    if (isToBeChanged(r, request, found, uri)) {
        return undefined;
    }
    const backend = chosen(r, request, found, isOllama, isLong, met);
    if (backend === undefined) {
        return undefined;
    }
    return written(r, request, found, backend, isLong);
}

function read(r) {
    const request = plain.read(r, door.size);
    return request !== undefined ? request : door.size > settings.quick_bytes ? undefined : scan.read(r);
}

// Whether another way is for it: it may be refused, it may have to wait, or its route asks for more.
function isElsewhere(r, request, found, isOllama) {
    if (!found) {
        return true;
    }
    if (!policy.mayUse(door.keyPolicy, found[contract.ROUTE_MODEL], request.model)) {
        return true;
    }
    const options = found[contract.ROUTE_OPTIONS];
    if (options === 0 ? request.verdict === 'odd' : few.isForRelay(r, found, options, request)) {
        return true;
    }
    return (isOllama || request.stream === true) && request.bytes >= settings.held_least
        && hold.isHeld(r, found, request);
}

// Whether its answer is one in one piece that nobody bounds, and goes to the location of the longest time; undefined
// where it may take longer than the usual time: first_byte.js looks at how long.
function willLast(r, request, uri, isOllama, isOwn) {
    if (request.stream === true) {   // what stream_options.js puts right
        const said = request.parsed.stream_options;
        return said !== undefined && (said === null || said.include_usage !== true) ? undefined : false;
    }
    const longest = longestOf(request, uri);
    if (longest >= 1 && !isOllama && uri[4] !== 'r') {
        return longest > settings.quick_tokens ? undefined : false;
    }
    const isLong = tokens.isUnbounded(uri, request);
    // $ig_peer is empty without a backend, and stays what it was when it was asked first: hot.js.
    return isLong && (!isOwn || settings.quick_long === ''
        || admit.flags.indexOf(contract.POLICY_FLAG_EXPLAINED) !== -1 || r.variables.ig_peer !== '') ? undefined : isLong;
}

// A number, where the endpoint's engines read it: /api/… and /v1/responses have it elsewhere.
function longestOf(request, uri) {
    return request.in_all !== undefined && uri[5] === 'h' && !(request.max_tokens > request.in_all)
        ? request.in_all : request.max_tokens;
}

// Whether it is to be put into another dialect (kinds.js), or anthropic.js refuses it, or takes something out.
function isToBeChanged(r, request, found, uri) {
    let system;
    if (uri[4] === 'm') {   // /v1/messages
        const version = r.variables.http_anthropic_version;
        if (version !== undefined && version !== anthropic.VERSION) {
            return true;
        }
        system = request.parsed.system;
        if (settings.tier && few.isMute(found)) {
            return true;
        }
    } else if (settings.tier && uri[4] === 'r' && few.isMute(found)) {   // /v1/responses, /v1/rerank
        return true;
    } else {
        const head = (request.parsed.messages || '')[0];
        system = !head ? request.parsed.instructions : head.role !== 'user' ? head.content : undefined;
    }
    return system && few.isAttributed(request, system);
}

// The backend, with a slot in it and with what is taken from limits.
function chosen(r, request, found, isOllama, isLong, met) {
    const options = found[contract.ROUTE_OPTIONS];
    const waits = options !== 0 && options.queue !== undefined;
    const backend = route.pick(r, found, request, '', waits, isOllama ? contract.BACKEND_FLAG_OLLAMA : undefined);
    if (backend === undefined) {
        return undefined;
    }
    r.variables.ig_backend = backend[contract.ROUTE_BACKEND_NAME];   // at once: see state.drop
    if (isUnfit(request, backend[contract.ROUTE_BACKEND_FLAGS])) {
        return undefined;
    }
    const charged = admit.flags !== '' || (options !== 0 && options.limits !== undefined);
    if (charged) {
        if (isRefused(r, request, found, backend, met)) {
            return undefined;
        }
    }
    const owes = request.work !== undefined && went.down(r, found, request, backend);
    if (request.stream !== true && !isOllama && !isLong) {
        answer.expectOnePiece(backend[contract.ROUTE_BACKEND_NAME], charged, state.calm && !waits, owes);
    }
    return backend;
}

// Whether the model is loaded first there, or what bounds the answer is not read.
function isUnfit(request, flags) {
    return flags.indexOf(contract.BACKEND_FLAG_COLD) !== -1
        || (request.verdict === 'fine' && request.stream !== true && request.parsed.max_completion_tokens !== undefined
            && flags.indexOf(contract.BACKEND_FLAG_OLLAMA) !== -1);
}

// Whether its limits do not let it pass as it is; else it took from them.
function isRefused(r, request, found, backend, met) {
    if (admit.flags.indexOf(contract.POLICY_FLAG_GUARDED) !== -1) {
        return true;
    }
    if ((!met && limits.meet(r, door.keyPolicy, admit.flags, found[contract.ROUTE_OPTIONS], request) !== undefined)
        || request.unbounded) {   // the key's maximum is to be written in
        return true;
    }
    if (admit.flags.indexOf(contract.POLICY_FLAG_EXPLAINED) !== -1) {
        explained.tell(r, backend[contract.ROUTE_BACKEND_NAME], found[contract.ROUTE_MODEL]);
    }
    return false;
}

// The body as this backend is to have it; '' where it is in $ig_body.
function written(r, request, found, backend, isLong) {
    const variables = r.variables;
    const wanted = backend[contract.ROUTE_BACKEND_UPSTREAM_NAME] || found[contract.ROUTE_MODEL];
    variables.ig_model = found[contract.ROUTE_MODEL];
    if (request.model !== found[contract.ROUTE_MODEL]) {
        variables.ig_model_asked = request.model;
    }
    variables.ig_why = state.why + (isLong ? settings.quick_long : settings.quick_rule);
    let insert = '';
    if (request.stream === true && (request.verdict !== 'usual' || request.parsed.stream_options === undefined)) {
        insert = few.ofStream(r, request, backend[contract.ROUTE_BACKEND_FLAGS]);
    }
    const body = insert === '' && request.model === wanted ? request.buffer || request.text
        : edited(request, wanted, insert);
    if (isLong) {
        variables.ig_body = body;
        return '';
    }
    return body;
}

function edited(request, wanted, insert) {
    return request.buffer === undefined ? plain.edited(request, wanted, insert) : scan.edited(request, wanted, insert);
}

export { decide };
