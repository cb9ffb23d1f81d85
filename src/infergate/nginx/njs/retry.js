// retry: a backend failed before it answered a byte; the request goes to another one.
import body from 'body.js';
import form from 'form.js';
import refuse from 'refuse.js';
import relay from 'relay.js';
import route from 'route.js';
import settle from 'settle.js';

// nginx allows ten internal redirects a request: one or two for the first attempt, two for each
// further one. Four attempts leave room for the refusal.
const MAX_ATTEMPTS = 4;

// A request could not reach the backend: the others are preferred until the next probe is due.
// What probes or an operator said is not overwritten.
function markFailed(backend) {
    const entry = ngx.shared.ig_backends.get(backend);
    if (entry === undefined || entry.startsWith('until:')) {
        ngx.shared.ig_backends.set(backend, 'until:' + (Date.now() + ig_settings.mark_failed_ms));
    }
}

// The last of nginx's comma- and colon-separated values, one for each attempt.
function last(list) {
    const values = (list || '').split(/[ ,:]+/);
    return values[values.length - 1];
}

// error_page of the relay: no byte has gone to the client yet.
function retry(r) {
    const backend = r.variables.ig_backend;
    const tried = r.variables.ig_tried + backend + ',';
    const status = Number(last(r.variables.upstream_status)) || 502;
    settle.settle(r);
    r.variables.ig_backend = '';
    r.variables.ig_tried = tried;
    if (status === 502 && last(r.variables.upstream_header_time) === '-') {
        markFailed(backend);
    }

    if (tried.split(',').length <= MAX_ATTEMPTS) {
        const format = r.variables.ig_content_type === 'application/json' ? body : form;
        const request = format.read(r);
        const found = route.find(request.named);
        if (found && relay.send(r, found, request, format, tried)) {
            return;
        }
    }
    const attempts = tried.split(',').length - 1;
    refuse.refuse(r, status, 'backend_failed',
        'The model `' + r.variables.ig_model + '` did not answer: ' + attempts
        + (attempts === 1 ? ' backend' : ' backends') + ' tried, the last '
        + (status === 504 ? 'gave no answer in time.' : 'failed with ' + status + '.'));
}

export default { retry };
