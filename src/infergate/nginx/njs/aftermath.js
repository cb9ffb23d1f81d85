// aftermath: what some requests leave to do in the log phase. See answer.js.
import * as attempts from './attempts.js' with { load: 'rare' };
import * as breaker from './breaker.js';
import * as contract from './contract.js';
import * as memory from './memory.js';
import * as pace from './pace.js' with { load: 'rare' };
import * as queue from './queue.js' with { load: 'rare' };
import * as usages from './usages.js';

// [prompt, completion, cached] tokens of a stream, or of an answer whose usage the body filter did not
// find; with a fourth element where some were counted here. undefined where nobody used any.
// streaming: stream.js's state; last: recent.js's, of an answer in one piece; front: what it told at its
// beginning; holding: held.js's, where somebody looked how much there is.
function usage(r, streaming, last, front, holding) {
    try {
        return tokensOf(r, streaming, last, front, holding);
    } catch (e) {   // what was taken from limits is given back all the same
        r.error('the tokens of an answer were not counted: ' + e);
        return undefined;
    }
}

function tokensOf(r, streaming, last, front, holding) {
    const by = holding || (streaming && streaming.holding());
    const share = by ? by.share() : 1;
    let told;
    if (by) {
        by.giveBack();
    }
    if (streaming) {
        told = streaming.tokens();
    } else if (r.status < 300 && hasTokens(r.uri)) {
        told = front || (last && ofPiece(r, last)) || ofHead(r);
    } else {
        return undefined;   // an error has none
    }
    return counted(r, told, share, streaming);
}

// What was told, and estimates of what was not. share: of the answer that was seen.
function counted(r, told, share, streaming) {
    const prompt = told && told[0];
    let completion = told && share === 1 ? told[1] : undefined;
    if (completion === undefined && told && share === 1 && !isText(r.uri)) {
        completion = 0;
    }
    const found = [
        prompt === undefined ? estimatedPrompt(r) : prompt,
        // Of a stream, an event is a token.
        completion !== undefined ? completion : streaming ? Math.ceil(streaming.events() / share) : estimatedAnswer(r),
        (told && told[2]) || 0,
    ];
    if (prompt === undefined || completion === undefined) {
        found.push('counted');
    }
    return found;
}

// Of an answer in one piece; or of a stream that nobody asked for, and that did not say that it is one.
function ofPiece(r, last) {
    const end = last.end();
    const text = end.text;
    return usages.ofBody(r.uri, text)
        || usages.ofStream(r.uri, text.indexOf('data:') !== -1, text, text, end.isWhole).tokens;
}

// TEI, whose answers are bare arrays.
function ofHead(r) {
    const tokens = r.variables.upstream_http_x_compute_tokens;
    return tokens ? usages.tokensOf({ total_tokens: Number(tokens) }) : undefined;
}

// What the gateway learns for the next requests: who fails, and how fast answers are.
// broken: it broke off in the middle of an answer that is no stream.
function learn(r, backend, streaming, used, broken) {
    const variables = r.variables;
    const waiting = ngx.shared.ig_waiting;
    judge(r, backend, streaming, broken);
    if (waiting.get('') > 0) {
        average(waiting, contract.WAITING_TAKES + variables.ig_model, Number(variables.upstream_response_time) * 1000);
        queue.slotFreed();
    }
    if (used !== undefined && used[1] > pace.SHORT && r.status < 300 && variables.ig_error === '') {
        pace.open().learn(variables.ig_model, attempts.last(variables.upstream_response_time) * 1000 / used[1]);
    }
}

// Tells the backend's breaker how it went.
function judge(r, backend, streaming, broken) {
    const variables = r.variables;
    const circuit = breaker.open();
    if (broken || (streaming && streaming.failed())) {
        variables.ig_error = broken ? 'answer_truncated' : streaming.state.failed;
        circuit.failed(backend, false, r.uri, variables.ig_model);
    } else if (r.status >= 500) {
        circuit.failed(backend, false, r.uri, variables.ig_model);
    } else if (r.status !== 499 && ngx.shared.ig_breakers.get(backend) !== undefined) {
        circuit.succeeded(backend, variables.ig_model);
    }
}

// A moving average over about ten values.
function average(zone, key, value) {
    if (value > 0 && value < Infinity) {
        const known = zone.get(key);
        memory.perhaps(() => zone.set(key, known === undefined ? value : known * 0.9 + value * 0.1));
    }
}

// Whether answers of the endpoint use tokens at all: they do where a model is at work.
function hasTokens(uri) {
    switch (uri) {
    case '/tokenize':
    case '/detokenize':
    case '/v1/messages/count_tokens':
    case '/v1/responses/input_tokens':
    case '/v1/chat/completions/input_tokens':
    case '/v1/chat/completions/render':
    case '/v1/completions/render':
        return false;
    default:
        return uri.startsWith('/v1/') || settings.counted.indexOf(' ' + uri + ' ') !== -1 || uri === '/api/chat' || uri === '/api/generate' || uri.startsWith('/api/embed');
    }
}

// Whether the answer is text that a model wrote: vectors, scores and sounds have no tokens.
function isText(uri) {
    return settings.hedged[uri] === undefined && settings.textless.indexOf(' ' + uri + ' ') === -1;
}

// Of the request's body, which for a form is a sound and tells nothing. The head is none of it.
function estimatedPrompt(r) {
    const type = r.variables.ig_content_type;
    return type !== 'application/json' ? 0
        : tokens(Number(r.headersIn['Content-Length']) || (r.requestBuffer || '').length);
}

// Of an answer in one piece, as far as it came from the backend.
function estimatedAnswer(r) {
    return isText(r.uri) ? tokens(Number(attempts.last(r.variables.upstream_response_length))) : 0;
}

function tokens(bytes) {
    return Math.ceil((bytes || 0) / contract.BYTES_PER_TOKEN);
}

export { usage, learn };
