// relay: hand an admitted request to the backend that route.js picks. `format` is the module that
// reads the body: plain.js, scan.js or body.js for JSON, form.js for an upload.
import * as affinity from './affinity.js' with { load: 'rare' };
import * as anthropic from './anthropic.js' with { load: 'lazy' };
import * as catalog from './catalog.js' with { load: 'rare' };
import * as firstByte from './first_byte.js';
import * as hedging from './hedging.js';
import * as hold from './hold.js' with { load: 'lazy' };
import * as kinds from './kinds.js';
import * as limits from './limits.js';
import * as lines from './line.js' with { load: 'rare' };
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
import * as tokens from './tokens.js';

// Of policy.numbers.
const MAX_TOKENS = 4;

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
    const keyPolicy = r.variables.ig_policy;
    let found = route.find(request.named);
    r.variables.ig_model_asked = (request.named || '').slice(0, lines.LONGEST_NAME);
    if (!found && settings.default_model !== '' && policy.allowsModel(keyPolicy, settings.default_model)) {
        refuse.told(r, { status: 503, code: 'no_backend', retry_after: 5, message: 'The model `' + settings.default_model
            + '`, which answers where no other does, is not known yet: no backend that has it has answered.' });
        return;
    }
    if (!found && request.named === undefined) {
        refuse.refuse(r, 400, 'missing_model', "You must provide a 'model'.", 'model');
        return;
    }
    if (!found || !policy.mayUse(keyPolicy, found[0], request.named)) {
        catalog.refuseUnknown(r, request.named);
        return;
    }
    const strange = kinds.problem(r.uri, found[0], found[route.BACKENDS], route.FLAGS);
    if (strange !== undefined) {
        refuse.told(r, strange);
        return;
    }
    if (r.uri.startsWith('/v1/messages')) {
        const version = anthropic.problem(r, found[route.BACKENDS].map((backend) => backend[route.FLAGS]));
        if (version !== undefined) {
            refuse.refuse(r, 400, 'invalid_request', version, 'anthropic-version');
            return;
        }
    }
    const options = found[route.OPTIONS];
    const meant = options.params === undefined ? request : params.of(r, request, options.params);
    const wrong = meant.error ? meant : format.problem(r.uri, meant, options.validation);
    if (wrong) {
        refuse.refuse(r, 400, 'invalid_request', wrong.error, wrong.param);
        return;
    }
    if (options.priority !== undefined && format.has(meant, 'priority')) {
        refuse.refuse(r, 400, 'invalid_request', "'priority' is for the operator of this gateway to set.", 'priority');
        return;
    }
    const flags = policy.flags(keyPolicy);
    const asked = found;
    if (options.canary !== undefined && policy.allowsModel(keyPolicy, options.canary[0])
        && affinity.share(r.variables.ig_key + '\n' + found[0]) < options.canary[1]) {
        found = route.find(options.canary[0]) || found;
    }
    const its = found[route.OPTIONS];   // whose limits it counts by
    if (!met && (flags !== '' || its.limits !== undefined)) {
        const refused = limits.meet(r, keyPolicy, flags, its, meant);
        if (refused) {
            r.variables.ig_model = found[0];
            refuse.told(r, refused);
            return;
        }
    }
    if (options.shadow !== undefined) {
        meant.splices = [];
        shadow.copy(r, meant, format, asked[0], options.shadow, flags.indexOf('l') === -1 ? '' : bound(r, meant));
    }
    r.variables.ig_model = found[0];
    const refusal = send(r, found, request, format, '');
    if (refusal) {
        refuse.told(r, refusal);
    }
}

// Sends the request to the best backend not yet tried, or lets it wait for one, or, where a model has
// no backend left, to the next model it falls back to that its key may use. Returns undefined, or the refusal.
function send(r, found, request, format, tried) {
    const options = found[route.OPTIONS];
    const waits = options.queue !== undefined;
    let backend;
    if (!waits || !queue.isWaitedFor(found[route.MODEL])) {
        backend = route.pick(r, found, request, tried, waits, kinds.only(r.uri));
        r.variables.ig_why = r.variables.ig_why + state.why;
    }
    if (backend === undefined && waits && mayWait(r, tried) && queue.couldServe(r, found, tried)) {
        return queue.enter(r, found);
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
    return tried === '' || tried.split(',').length - 1 + queue.waits(r) <= 2;
}

function fallBack(r, found, request, format, tried) {
    let limited;
    const chain = r.variables.ig_fallback === '' ? found[route.OPTIONS].fallback || []
        : JSON.parse(r.variables.ig_fallback);
    for (let i = 0; i < chain.length; i++) {
        const other = policy.allowsModel(r.variables.ig_policy, chain[i]) ? route.find(chain[i]) : undefined;
        // One whose backends have no such endpoint would only be blamed for it.
        if (other && kinds.problem(r.uri, other[0], other[route.BACKENDS], route.FLAGS) === undefined) {
            const variables = r.variables;
            const charged = variables.ig_charge !== '' || other[route.OPTIONS].limits !== undefined;
            limited = charged ? limits.move(r, other[route.OPTIONS], request) : undefined;
            if (limited !== undefined) {
                variables.ig_why = variables.ig_why + '-> ' + other[0] + ' is over its limit;';
                continue;
            }
            variables.ig_fallback = JSON.stringify(chain.slice(i + 1));
            variables.ig_why = variables.ig_why + '-> ' + other[0] + ';';
            variables.ig_model_asked = variables.ig_model_asked;   // which is $ig_model as long as nobody sets it
            variables.ig_model = other[0];
            if (variables.ig_keep) {
                variables.ig_keep = '';   // this one's answer is not what was asked for
            }
            r.headersOut['x-infergate-model'] = other[0];
            return send(r, other, request, format, tried);
        }
    }
    if (tried !== '') {
        return { exhausted: true };
    }
    return limited || { status: 503, code: 'no_backend',
        message: 'No backend of the model `' + found[0] + '` is available.', retry_after: 5 };
}

// To this backend, whose slot is taken already. asked: as the client sent it, of whichever model.
function dispatch(r, found, asked, format, backend) {
    const variables = r.variables;
    const flags = backend[route.FLAGS];
    const options = found[route.OPTIONS];
    const isLimited = policy.flags(variables.ig_policy).indexOf('l') !== -1;
    let request = options.params === undefined ? asked : params.of(r, asked, options.params);
    if (request !== asked) {
        variables.ig_why = variables.ig_why + params.words(options.params);
    }
    // What was looked at is what the model means that was asked for; this one may be another.
    if (isLimited && asked.model !== found[route.MODEL]) {
        request = withinMaximum(r, request);
    }
    if (flags.indexOf('p') !== -1 && format.has(request, 'priority')) {
        request = params.of(r, request, [['priority', null, 0]]);
    }
    const wanted = backend[route.UPSTREAM_NAME] || found[route.MODEL];
    let insert = '';
    variables.ig_backend = backend[route.NAME];
    route.place(r, found, asked, backend[route.NAME]);

    request.splices = [];
    if (variables.ig_note !== '') {
        variables.ig_note = '';
    }
    if (request.stream === true && (r.uri === '/v1/chat/completions' || r.uri === '/v1/completions')) {
        insert = flags.indexOf('u') !== -1 ? streamOptions.ask(r, request) : '';
        if (request.parsed.n > 1 || Array.isArray(request.parsed.prompt)) {
            variables.ig_note = variables.ig_note + ' ' + tokens.choices(r.uri, request.parsed);
        }
    }
    if (r.uri.startsWith('/v1/messages') || r.uri === '/v1/chat/completions') {
        anthropic.withoutAttribution(r.uri, request, flags);
    }
    if (isLimited) {
        insert += bound(r, request);
    }
    if (flags.indexOf('p') !== -1) {
        insert += '"priority":' + policy.more().numbers(variables.ig_policy)[5] + ',';
    }
    if (flags.indexOf('o') !== -1) {
        residents.warm(found[0], backend[route.NAME]);
    }
    if (options.total !== undefined && variables.ig_deadline === '') {
        variables.ig_deadline = String(Date.now() + options.total);
    }
    if (policy.flags(variables.ig_policy).indexOf('x') !== -1) {
        const headers = r.headersOut;
        headers['x-infergate-backend'] = backend[route.NAME];
        headers['x-infergate-model'] = found[0];
        headers['x-infergate-attempts'] = String(variables.ig_tried.split(',').length);
        headers['x-infergate-queue-ms'] = variables.ig_queue_ms;
    }

    const isUnchanged = request === asked && request.model === wanted && insert === '' && request.splices.length === 0;
    const due = firstByte.of(r, found, request, backend);
    let location = due.location;
    variables.ig_why = variables.ig_why + due.why;
    if (options.hedge !== undefined) {
        location = hedging.way(r, found, request, backend, location) || location;
    }
    const isHeld = !variables.ig_keep && request.bytes >= settings.held_least && hold.isHeld(r, found, request);
    if (isHeld) {
        location = hold.way(r, location);
    }
    if (variables.ig_keep || isHeld) {
        variables.ig_body = isUnchanged ? request.buffer || request.text
            : format.edited(request, wanted, insert);
        r.internalRedirect(isHeld ? location : location + '_' + variables.ig_keep);
    } else if (isUnchanged) {
        r.internalRedirect(location);
    } else {
        variables.ig_body = format.edited(request, wanted, insert);
        r.internalRedirect(location + '_edited');
    }
}

// The request, or one that asks for no more tokens than the key may.
function withinMaximum(r, request) {
    const most = policy.more().numbers(r.variables.ig_policy)[MAX_TOKENS];
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
    const most = policy.more().numbers(r.variables.ig_policy)[MAX_TOKENS];
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
