// hot: the short way through for most requests: a small body whose model has a backend with the usual
// timeouts. Everything is decided in one engine of njs and without a redirect: nginx reads the body
// for its proxy, asks for the body to send ($ig_out, the first thing it needs), and there the backend
// is chosen; it picks the server by $ig_peer, a map of the backend's name, after that. On the way of
// @careful, with two engines and a redirect, the same takes half as long again. See
// docs/decisions/005.
//
// Whatever is not usual bounces: $ig_peer stays empty, which hashes to the internal server that
// answers 530, and error_page leads on to @careful. So does every exception.
import admit from 'admit.js';
import answer from 'answer.js';
import check from 'check.js';   // seldom
import limits from 'limits.js';   // seldom
import plain from 'plain.js';
import policy from 'policy.js';
import route from 'route.js';
import scan from 'scan.js';   // seldom
import state from 'state.js';

// Up to here the body is copied for the backend at no cost to speak of.
const LARGEST = 131072;

let keyPolicy, size;   // the engine is the request's own

// The variable $ig_admitted, in the rewrite phase: see admit.js. 'careful' is for a body that is too
// large for the short way.
function enter(r) {
    const found = admit.find(r);
    if (found.indexOf('\n') === -1) {
        return found;
    }
    size = r.headersIn['Content-Length'];
    if (size > LARGEST) {
        r.variables.ig_policy = found;
        return 'careful';
    }
    keyPolicy = found;
    return 'yes';
}

// The variable $ig_out: the body for the backend; the choice of it on the way.
function out(r) {
    let body;
    try {
        body = decide(r);
    } catch (e) {
        r.error('the short way failed: ' + e);
    }
    if (body === undefined) {
        r.variables.ig_policy = keyPolicy;
        return '';
    }
    return body;
}

function decide(r) {
    const request = plain.read(r, size) || scan.read(r);
    if (request === undefined || request.error) {
        return undefined;
    }
    const asked = request.model;
    const found = route.look(asked);
    if (!found || !(policy.allowsModel(keyPolicy, found[0]) || policy.allowsModel(keyPolicy, asked))) {
        return undefined;
    }
    const options = found[route.OPTIONS];
    if (options !== 0 && isForRelay(r, found, options, request)) {
        return undefined;
    }
    if ((options === 0 || options.validation === undefined) && request.verdict !== 'fine') {
        return undefined;
    }
    // Longer than the usual timeout, perhaps: relay.js looks at how long.
    if (request.max_tokens > settings.quick_tokens && request.stream !== true
        && (options === 0 || options.static === undefined)) {
        return undefined;
    }
    const waits = options !== 0 && options.queue !== undefined;
    const backend = route.pick(r, found, request, '', waits);
    if (backend === undefined) {
        return undefined;
    }
    const name = backend[route.NAME];
    const flags = policy.flags(keyPolicy);
    let charged = false;
    if (flags !== '' || (options !== 0 && options.limits !== undefined)) {
        if (limits.meet(r, keyPolicy, flags, options, request) !== undefined) {
            state.hold(name, -1);
            return undefined;
        }
        charged = true;
        if (flags.indexOf('x') !== -1) {
            const headers = r.headersOut;
            headers['x-infergate-backend'] = name;
            headers['x-infergate-model'] = found[0];
            headers['x-infergate-attempts'] = '1';
            headers['x-infergate-queue-ms'] = '0';
        }
    }
    const variables = r.variables;
    variables.ig_backend = name;
    variables.ig_model = found[0];
    variables.ig_why = request.why;
    const wanted = backend[route.UPSTREAM_NAME] || found[0];
    if (request.stream === true) {
        if (request.usage === 'absent' && backend[route.FLAGS].indexOf('u') !== -1
            && r.uri.endsWith('completions')) {
            variables.ig_note = 'strip';
            return edited(request, wanted, '"stream_options":{"include_usage":true},');
        }
    } else if (r.uri[1] === 'v') {
        answer.expectOnePiece(name, charged, request.calm && !waits);
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

export default { admit: enter, out, filter: answer.filter, settle: answer.settle };
