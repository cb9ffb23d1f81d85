// relay: hand an admitted request to the backend that route.js picks. `format` is the module that
// reads the body: plain.js, scan.js or body.js for JSON, form.js for an upload.
import * as affinity from './affinity.js' with { load: 'rare' };
import * as anthropic from './anthropic.js' with { load: 'lazy' };
import * as attempts from './attempts.js';
import * as contract from './contract.js';
import * as continued from './continued.js' with { load: 'rare' };
import * as explained from './explained.js' with { load: 'lazy' };
import * as firstByte from './first_byte.js';
import * as hedging from './hedging.js';
import * as hold from './hold.js' with { load: 'lazy' };
import * as kinds from './kinds.js';
import * as limits from './limits.js';
import * as named from './named.js';
import * as params from './params.js' with { load: 'lazy' };
import * as policy from './policy.js';
import * as queue from './queue.js';
import * as refuse from './refuse.js';
import * as residents from './residents.js' with { load: 'rare' };
import * as responses from './responses.js' with { load: 'rare' };
import * as route from './route.js';
import * as shadow from './shadow.js';
import * as state from './state.js';
import * as streamOptions from './stream_options.js' with { load: 'lazy' };
import * as tier from './tier.js' with { load: 'rare' };
import * as tokens from './tokens.js';
import * as went from './went.js' with { load: 'lazy' };
import * as work from './work.js' with { load: 'lazy' };

// met: it took from its limits already.
function handle(r, format, met) {
    refuse.unlessFull(r, () => decide(r, format, met));
}

function decide(r, format, met) {
    if (r.method !== 'POST') {
        if (/^websocket$/i.test(r.variables.http_upgrade || '')) {   // Codex goes on without one after this alone
            const refused = responses.relay(r);
            if (refused !== undefined) {
                refuse.refuse(r, 426, 'no_websocket', refused);
            }
            return;
        }
        refuse.told(r, { status: 405, code: 'method_not_allowed', allow: 'POST',
            message: 'This endpoint takes POST, not ' + r.method + '.' });
        return;
    }
    const request = format.read(r);
    if (request === undefined) {
        r.internalRedirect('@careful');
        return;
    }
    if (request.error) {
        refuse.refuse(r, 400, 'invalid_request', request.error, request.param);
        return;
    }
    const wanted = named.find(r, request.named, "You must provide a 'model'.");
    if (settings.tier && isTheTiers(r, wanted, request, met)) {
        return;
    }
    const refusal = wanted.refusal || begin(r, wanted.found, request, format, met);
    if (refusal !== undefined) {
        refuse.told(r, refusal);
    }
}

// Whether the API tier has it from here on.
function isTheTiers(r, wanted, request, met) {
    if (wanted.refusal === undefined) {
        return settings.continues && !met && continued.isHandedOver(r, wanted.found, request);
    }
    if (wanted.refusal.guards !== undefined) {
        return tier.guard(r, wanted.refusal.guards);
    }
    if (!wanted.refusal.lacking || !tier.translates(r.uri)) {
        return false;
    }
    tier.handOver(r, contract.HANDED_DIALECT);
    return true;
}

// The first attempt of a request for this model, or the refusal.
function begin(r, asked, request, format, met) {
    const options = asked[contract.ROUTE_OPTIONS];
    const keyPolicy = r.variables.ig_policy;
    const meant = options.params === undefined ? request : params.of(r, request, options.params);
    const wrong = problem(r, asked, meant, format);
    if (wrong !== undefined) {
        return { status: 400, code: 'invalid_request', message: wrong.error, param: wrong.param };
    }
    const flags = policy.flags(keyPolicy);
    const found = canary(r, asked);
    const its = found[contract.ROUTE_OPTIONS];   // whose limits it counts by
    r.variables.ig_model = found[contract.ROUTE_MODEL];
    if (!met && (flags !== '' || its.limits !== undefined)) {
        const refused = limits.meet(r, keyPolicy, flags, its, meant);
        if (refused !== undefined) {
            return refused;
        }
    }
    if (options.shadow !== undefined) {
        meant.splices = [];
        shadow.copy(r, meant, format, asked[contract.ROUTE_MODEL], options.shadow,
            flags.indexOf(contract.POLICY_FLAG_LIMITED) === -1 ? '' : bound(r, meant));
    }
    return send(r, found, request, format, '');
}

// What no backend of the model takes: { error, param }, or undefined.
function problem(r, found, meant, format) {
    const options = found[contract.ROUTE_OPTIONS];
    if (r.uri.startsWith('/v1/messages')) {
        const version = anthropic.problem(r, found[contract.ROUTE_BACKENDS].map((backend) => backend[contract.ROUTE_BACKEND_FLAGS]));
        if (version !== undefined) {
            return { error: version, param: 'anthropic-version' };
        }
    }
    const wrong = meant.error ? meant : format.problem(r.uri, meant, options.validation);
    if (wrong === undefined && options.priority !== undefined && format.has(meant, 'priority')) {
        return { error: "'priority' is for the operator of this gateway to set.", param: 'priority' };
    }
    return wrong;
}

// The route of the model that gets the key's share of this one's requests, for such a key.
function canary(r, asked) {
    const said = asked[contract.ROUTE_OPTIONS].canary;
    return said !== undefined && policy.allowsModel(r.variables.ig_policy, said[contract.CANARY_OPTION_MODEL])
        && affinity.share(r.variables.ig_key + '\n' + asked[contract.ROUTE_MODEL]) < said[contract.CANARY_OPTION_PERCENT]
        ? route.find(said[contract.CANARY_OPTION_MODEL]) || asked : asked;
}

// Sends the request to the best backend not yet tried, or lets it wait for one, or, where a model has
// no backend left, to the next model it falls back to that its key may use. Returns undefined, or the refusal.
function send(r, found, request, format, tried) {
    const options = found[contract.ROUTE_OPTIONS];
    const waits = options.queue !== undefined;
    const avoided = settings.continues ? continued.avoided(r, found, tried === '') : '';
    let backend;
    if (!waits || !queue.isWaitedFor(found[contract.ROUTE_MODEL])) {
        backend = route.pick(r, found, request, tried + avoided, waits, kinds.only(r.uri));
        r.variables.ig_why = r.variables.ig_why + state.why;
    }
    if (backend === undefined && waits && mayWait(r, tried) && queue.couldServe(r, found, tried + avoided)) {
        return queue.enter(r, found, request, tried + avoided);
    }
    if (backend === undefined) {
        return fallBack(r, found, request, format, tried);
    }
    dispatch(r, found, request, format, backend);
    return undefined;
}

// nginx allows ten redirects to a request. A wait takes two, an attempt two, and the way in and the last
// refusal one each.
function mayWait(r, tried) {
    return tried === '' || attempts.countOf(tried) + queue.waits(r) <= 2;
}

function fallBack(r, found, request, format, tried) {
    let limited;
    const chain = r.variables.ig_fallback === '' ? found[contract.ROUTE_OPTIONS].fallback || []
        : JSON.parse(r.variables.ig_fallback);
    for (let i = 0; i < chain.length; i++) {
        const other = policy.allowsModel(r.variables.ig_policy, chain[i]) ? route.find(chain[i]) : undefined;
        // One whose backends have no such endpoint would only be blamed for it.
        if (other && kinds.problem(
            r.uri, other[contract.ROUTE_MODEL], other[contract.ROUTE_BACKENDS], contract.ROUTE_BACKEND_FLAGS) === undefined) {
            const variables = r.variables;
            const charged = variables.ig_charge !== '' || other[contract.ROUTE_OPTIONS].limits !== undefined;
            limited = charged ? limits.move(r, other[contract.ROUTE_OPTIONS], request) : undefined;
            if (limited !== undefined) {
                variables.ig_why = variables.ig_why + contract.WHY_GOES_ON + other[contract.ROUTE_MODEL] + ' is over its limit;';
                continue;
            }
            variables.ig_fallback = JSON.stringify(chain.slice(i + 1));
            variables.ig_why = variables.ig_why + contract.WHY_GOES_ON + other[contract.ROUTE_MODEL] + ';';
            variables.ig_model_asked = variables.ig_model_asked;   // which is $ig_model as long as nobody sets it
            variables.ig_model = other[contract.ROUTE_MODEL];
            if (variables.ig_keep) {
                variables.ig_keep = '';   // this one's answer is not what was asked for
            }
            r.headersOut['x-infergate-model'] = other[contract.ROUTE_MODEL];
            return send(r, other, request, format, tried);
        }
    }
    if (tried !== '') {
        return { exhausted: true };
    }
    return limited || refuse.unavailable(found[contract.ROUTE_MODEL]);
}

// To this backend, whose slot is taken already. asked: as the client sent it, of whichever model.
function dispatch(r, found, asked, format, backend) {
    const variables = r.variables;
    const keyFlags = policy.flags(variables.ig_policy);
    variables.ig_backend = backend[contract.ROUTE_BACKEND_NAME];
    const request = meantFor(r, found, asked, format, backend, keyFlags);
    request.splices = [];
    const insert = inserted(r, request, backend[contract.ROUTE_BACKEND_FLAGS], keyFlags)
        + (settings.continues ? continued.insert(r, backend) : '');
    note(r, found, asked, backend, keyFlags);
    const wanted = backend[contract.ROUTE_BACKEND_UPSTREAM_NAME] || found[contract.ROUTE_MODEL];
    const isUnchanged = request === asked && request.model === wanted && insert === '' && request.splices.length === 0;
    const due = firstByte.of(r, found, request, backend);
    const location = hedging.way(r, found, request, backend, due.location);
    variables.ig_why = variables.ig_why + due.why;
    const isHeld = !variables.ig_keep && request.bytes >= settings.held_least && hold.isHeld(r, found, request);
    if (isUnchanged && !variables.ig_keep && !isHeld) {
        r.internalRedirect(location);
        return;
    }
    variables.ig_body = isUnchanged ? request.buffer || request.text : format.edited(request, wanted, insert);
    r.internalRedirect(isHeld ? hold.way(r, location) : location + '_' + (variables.ig_keep || 'edited'));
}

// What is to be known of where it goes: to those that choose next, to retries, and to the client.
function note(r, found, asked, backend, keyFlags) {
    const total = found[contract.ROUTE_OPTIONS].total;
    if (found[contract.ROUTE_BALANCE] === 'work') {
        owe(r, found, asked, backend);
    }
    if (backend[contract.ROUTE_BACKEND_FLAGS].indexOf(contract.BACKEND_FLAG_OLLAMA) !== -1) {
        residents.warm(found[contract.ROUTE_MODEL], backend[contract.ROUTE_BACKEND_NAME]);
    }
    if (total !== undefined && r.variables.ig_deadline === '') {
        r.variables.ig_deadline = String(Date.now() + total);
    }
    if (keyFlags.indexOf(contract.POLICY_FLAG_EXPLAINED) !== -1) {
        explained.tell(r, backend[contract.ROUTE_BACKEND_NAME], found[contract.ROUTE_MODEL]);
    }
}

// With balance: work.
function owe(r, found, asked, backend) {
    if (asked.work === undefined) {
        work.open(r, found, asked);   // it had its turn in the queue, and was not weighed
    }
    if (asked.work !== undefined && r.variables.ig_owed === '') {
        went.down(r, found, asked, backend);
    }
}

// The request as the operator means it, for this model and backend.
function meantFor(r, found, asked, format, backend, keyFlags) {
    const said = found[contract.ROUTE_OPTIONS].params;
    let request = said === undefined ? asked : params.of(r, asked, said);
    if (request !== asked) {
        r.variables.ig_why = r.variables.ig_why + params.words(said);
    }
    // What was looked at is what the model means that was asked for; this one may be another.
    if (keyFlags.indexOf(contract.POLICY_FLAG_LIMITED) !== -1 && asked.model !== found[contract.ROUTE_MODEL]) {
        request = withinMaximum(r, request);
    }
    return backend[contract.ROUTE_BACKEND_FLAGS].indexOf(contract.BACKEND_FLAG_PRIORITY) !== -1 && format.has(request, 'priority')
        ? params.of(r, request, [['priority', null, 0]]) : request;
}

// What is written into it before its other keys, with request.splices. flags: of the backend.
function inserted(r, request, flags, keyFlags) {
    const variables = r.variables;
    let insert = '';
    if (variables.ig_note !== '') {
        variables.ig_note = '';
    }
    if (request.stream === true && (r.uri === '/v1/chat/completions' || r.uri === '/v1/completions')) {
        insert = flags.indexOf(contract.BACKEND_FLAG_USAGE) !== -1 ? streamOptions.ask(r, request) : '';
        variables.ig_note = variables.ig_note + tokens.note(r.uri, request.parsed);
    }
    if (r.uri.startsWith('/v1/messages') || r.uri === '/v1/chat/completions' || r.uri === '/api/chat'
        || r.uri === '/v1/responses') {
        anthropic.withoutAttribution(r.uri, request, flags);
    }
    if (keyFlags.indexOf(contract.POLICY_FLAG_LIMITED) !== -1) {
        insert += bound(r, request);
    }
    if (flags.indexOf(contract.BACKEND_FLAG_PRIORITY) !== -1) {
        insert += '"priority":' + policy.more().numbers(variables.ig_policy)[contract.POLICY_NUMBER_PLACE] + ',';
    }
    return insert;
}

// The request, or one that asks for no more tokens than the key may.
function withinMaximum(r, request) {
    const most = policy.more().numbers(r.variables.ig_policy)[contract.POLICY_NUMBER_MAX_TOKENS];
    const said = most === 0 ? undefined : tokens.asked(r.uri, request, true);
    if (said === undefined || (!said.error && (said.each || 1) * said.answers <= most)) {
        return request;
    }
    const each = said.error ? most : Math.max(1, Math.floor(most / said.answers));
    const out = said.error ? tokens.ANSWERS.map((name) => [name, null, 0]) : [];
    return params.of(r, request, out.concat([['max_tokens', String(each), 0]]));
}

// Writes the key's maximum of tokens into a request that says none: what to insert, and request.splices.
function bound(r, request) {
    const most = policy.more().numbers(r.variables.ig_policy)[contract.POLICY_NUMBER_MAX_TOKENS];
    const found = most === 0 ? undefined : tokens.bound(r.uri, request, most);
    if (found === undefined) {
        return '';
    }
    if (found.splice !== undefined) {
        request.splices.push(found.splice);
    }
    return found.insert;
}

export { handle, send, dispatch };
