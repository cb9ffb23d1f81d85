// improper: what a backend sent begins with a status below 200, or is not HTTP at all. nginx takes both
// for the head of the answer, and what comes after it would be the client's next answer.
//
// A map of the status asks for the variable $ig_improper while nginx makes the head ready
// (maps.conf), so nothing of this costs an answer that is one. What is said here goes out instead.
//
// It does so, too, where nginx itself refuses a body on the short way: an error_page there would take a
// backend's 413 for ours.
import * as dialect from './dialect.js';

// In place of stream.js's state (answer.js): lets nothing through but our own words.
function open(r) {
    const isHttp = r.httpVersion !== '0.9';
    const isTunnel = isHttp && r.status === 101 && r.variables.http_upgrade !== undefined;
    const isOurs = r.status === 408 || r.status === 413;
    const refusal = isOurs ? { status: r.status, code: 'invalid_request', message: dialect.words(r.status), param: null }
        : { status: 502, code: 'backend_failed', message: isHttp
            ? 'The backend began with the status ' + r.variables.status + ', and no answer came of it.'
            : 'The backend sent something that is not HTTP.', param: null };
    const body = JSON.stringify(dialect.shape(r.uri, refusal));
    const state = { failed: isOurs ? '' : 'backend_garbage' };
    let said = false;
    r.variables.ig_error = refusal.code;
    newHead(r, refusal.status, 'application/json', body.length);

    function filter(data, flags) {
        if (isTunnel) {
            endTunnel();
        }
        if (!said) {
            said = true;
            r.sendBuffer(isHttp ? body : headless(r, body), { last: true, flush: true });
        }
        return 0;
    }

    return { filter, state, events: () => 0, tokens: () => [0, 0, 0], holding: () => undefined, failed: () => !isOurs };
}

// In a body filter, where nginx is about to join the two connections: they end instead.
function endTunnel() {
    throw new Error('a backend answered 101, and nobody asked for it');
}

// nginx writes no head for what it takes for HTTP/0.9, where the client speaks HTTP/1.
function headless(r, body) {
    return r.variables.server_protocol.startsWith('HTTP/1') ? 'HTTP/1.1 502 Bad Gateway\r\n'
        + 'Content-Type: application/json\r\nContent-Length: ' + body.length + '\r\nConnection: close\r\n\r\n' + body
        : body;
}

function newHead(r, status, type, length) {
    const headers = r.headersOut;
    Object.keys(headers).forEach((name) => {
        delete headers[name];
    });
    r.status = status;
    headers['Content-Type'] = type;
    headers['Content-Length'] = length;
}

// A service, whose answers njs does not see: what comes after is the body
// of our 502, and no second answer. data, flags: where it is called as a body filter.
function service(r, data, flags) {
    if (data !== undefined) {
        if (r.variables.upstream_status.endsWith('101')) {
            endTunnel();
        }
        r.sendBuffer(data, flags);
        r.done();
    } else if (r.httpVersion === '0.9') {
        const body = 'The service sent something that is not HTTP.\n';
        r.status = 502;
        r.send(headless(r, body));
    } else {
        newHead(r, 502, 'text/plain', undefined);
    }
}

export { open, service };
