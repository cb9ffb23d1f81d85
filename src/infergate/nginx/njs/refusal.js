// refusal: every error the gateway itself answers, in the shape of the dialect the caller speaks.

import * as charge from './charge.js';
import * as dialect from './dialect.js';
import * as lent from './lent.js' with { load: 'rare' };
import * as lines from './line.js' with { load: 'rare' };
import * as page from './page.js' with { load: 'lazy' };
import * as queue from './queue.js';
import * as state from './state.js';
import * as websocketEnd from './websocket_end.js' with { load: 'rare' };

const KEY_REFUSALS = {
    missing_api_key: "You didn't provide an API key. Send it as 'Authorization: Bearer KEY'.",
    origin_not_allowed: 'Pages of other sites need an API key. The operator can list them in access.origins.',
    invalid_api_key: 'Incorrect API key provided.',
    request_over: 'The request that this was asked for is over, or its API key was revoked.',
    expired_api_key: 'This API key has expired.',
    address_not_allowed: 'This API key may not be used from this address.',
};

// The text of a refusal; its headers and its code for the log are set on the way.
function worded(r, refusal) {
    r.variables.ig_error = refusal.code;
    setHeaders(r, refusal);
    giveBack(r);
    if (r.variables.http_upgrade) {
        websocketEnd.over(r);   // of a WebSocket that was to be, beside which a watch waits
    }
    const uri = r.uri.startsWith('/.') ? r.variables.request_uri || '' : r.uri;
    if ((r.variables.http_accept || '').indexOf('text/html') !== -1 && page.isFor(r, uri)) {
        return page.html(r, refusal);
    }
    r.headersOut['Content-Type'] = 'application/json';
    return JSON.stringify(dialect.shape(uri, refusal));
}

// What HTTP wants to be said with such a status.
function setHeaders(r, refusal) {
    if (refusal.status === 401) {
        r.headersOut['WWW-Authenticate'] = r.headersOut['WWW-Authenticate'] || 'Bearer';
    } else if (refusal.status === 405) {
        r.headersOut['Allow'] = r.variables.ig_methods || refusal.allow || (r.method === 'POST' ? 'GET' : 'POST');
    } else if (refusal.status === 426) {
        r.headersOut['Upgrade'] = 'HTTP/1.1';   // RFC 9110, 15.5.22: what it could speak instead
    } else if (refusal.retry_after || refusal.status === 503) {
        r.headersOut['Retry-After'] = String(refusal.retry_after || 5);
    }
}

// Refused after all: what it took already is free again.
function giveBack(r) {
    state.drop(r);
    charge.settle(r, 0);
    if (settings.tier) {
        lent.end(r);
    }
    if (r.variables.ig_ticket !== '') {
        queue.leave(r.variables.ig_ticket);
    }
}

// Where refuse.js sends a request, after its body was read.
function refused(r) {
    answer(r, JSON.parse(r.variables.ig_refusal));
}

function answer(r, refusal) {
    r.return(refusal.status, worded(r, refusal));
}

// The variable $ig_failure: the text for what nginx itself refused, and for a key that was not
// admitted. A variable and not a content handler, because njs would read the whole body first: of
// a stranger, or of one that is too large.
function failure(r) {
    const status = Number(r.variables.status) || 500;
    try {
        return found(r, status);
    } catch (e) {   // the client gets an error that it can read all the same
        r.error('an error was not put into words: ' + e);
        r.variables.ig_error = 'server_error';
        return JSON.stringify(dialect.shape(r.uri.startsWith('/.') ? r.variables.request_uri || '' : r.uri,
            { status, code: 'server_error', message: dialect.words(status), param: null }));
    }
}

function found(r, status) {
    if (r.variables.ig_refusal !== '') {   // service.js
        const refusal = JSON.parse(r.variables.ig_refusal);
        if (refusal.status === status) {   // and not one too many from that address
            return worded(r, refusal);
        }
    }
    const said = status === 401 ? unknownCaller(r) : status === 403 ? forbidden(r) : undefined;
    if (said !== undefined) {
        return worded(r, { status, code: said[0], message: said[1], param: null });
    }
    let code = status === 404 ? 'unknown_endpoint' : status >= 500 ? 'server_error' : 'invalid_request';
    let message = dialect.words(status) + astray(r, status);
    if (status === 500 && isNoAnswer(r.variables.ig_login_said)) {
        code = 'login_unavailable';
        message = 'Who may come in here is for a login to say, and it does not answer.';
    }
    return worded(r, { status, code, message, param: null });
}

// What is wrong with a client's base URL that leads here: it writes the rest of the path itself.
function astray(r, status) {
    const uri = status !== 404 || r.variables.ig_service ? '' : r.uri;
    const end = uri.startsWith('/v1/v1/') || uri.startsWith('/v1/api/') ? 'before' : uri.startsWith('/v1/chat/completions/') ? 'with' : '';
    return end === '' ? '' : ' The base URL of this client is to end ' + end + ' /v1: the rest it writes itself.';
}

// [code, message] of a 401.
function unknownCaller(r) {
    if (r.variables.ig_login) {
        return ['not_logged_in', 'You are not logged in.'];
    }
    if (r.headersOut['WWW-Authenticate']) {
        return [r.headersIn['Authorization'] ? 'wrong_password' : 'missing_password', 'A name and its password are needed.'];
    }
    const admitted = r.variables.ig_admitted;
    const code = KEY_REFUSALS[admitted] ? admitted : 'invalid_api_key';
    return [code, KEY_REFUSALS[code]];
}

// The same of a 403; undefined where it is nothing special.
function forbidden(r) {
    if (r.variables.ig_foreign_origin === '1') {
        return ['origin_not_allowed', 'Pages of other sites may not use a gateway without keys. Its operator can list them '
            + 'in access.origins.'];
    }
    return r.variables.ig_login ? ['forbidden_by_login', 'You may not do that here.']   // set after the access rules let it in
        : undefined;
}

// Of a login that was asked who may come in: what nginx takes for no answer. status: undefined where none was.
function isNoAnswer(status) {
    return !!status && status[0] !== '2' && status !== '401' && status !== '403';
}

// The variable $ig_refused_line.
function line(r) {
    return lines.line(r);
}

export { refused, answer, failure, line };
