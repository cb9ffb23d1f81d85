// relay: hand an admitted request to a backend, and to the next one when that fails before it has
// answered a byte.
import body from 'body.js';
import catalog from 'catalog.js';
import form from 'form.js';
import policy from 'policy.js';
import refuse from 'refuse.js';
import route from 'route.js';
import state from 'state.js';

// nginx allows ten internal redirects a request: one for the first attempt, two for each further
// one. Four attempts leave room for the error page.
const MAX_ATTEMPTS = 4;

function serve(r) {
    handle(r, body);
}

function serveForm(r) {
    r.variables.ig_content_type = r.headersIn['Content-Type'] || '';
    handle(r, form);
}

function read(r, format) {
    const request = format === form ? form.read(r) : body.readJson(r);
    // Ollama reads the older `name` of /api/show where there is no `model`.
    if (request.model === undefined && !request.error && r.uri === '/api/show') {
        const name = JSON.parse(request.text).name;
        request.named = typeof name === 'string' && name !== '' ? name : undefined;
    } else {
        request.named = request.model;
    }
    return request;
}

function handle(r, format) {
    if (r.method !== 'POST') {
        r.headersOut['Allow'] = 'POST';
        refuse.refuse(r, 405, 'method_not_allowed', 'This endpoint takes POST, not ' + r.method + '.');
        return;
    }
    const request = read(r, format);
    if (request.error) {
        refuse.refuse(r, 400, 'invalid_request', request.error, request.param);
        return;
    }
    const found = route.find(request.named);
    if (!found && request.named === undefined) {
        refuse.refuse(r, 400, 'missing_model', "You must provide a 'model'.", 'model');
        return;
    }
    const keyPolicy = r.variables.ig_policy;
    if (!found || !(policy.allowsModel(keyPolicy, found.model) || policy.allowsModel(keyPolicy, request.named))) {
        refuse.refuse(r, 404, 'model_not_found',
            'The model `' + request.named + '` does not exist or you do not have access to it.', 'model');
        return;
    }
    r.variables.ig_model = found.model;
    send(r, found, request, format, '');
}

// Sends the request to the best backend not yet tried. Returns false if there is none.
function send(r, found, request, format, tried) {
    const backend = route.pick(found, tried, r.uri.startsWith('/api/'));
    if (!backend) {
        if (tried === '') {
            refuse.refuse(r, 503, 'no_backend', 'No backend of the model `' + found.model + '` is available.');
        }
        return false;
    }
    const name = backend[0];
    state.occupy(name);
    r.variables.ig_backend = name;
    r.variables.ig_tried = tried + name + ',';

    const wanted = route.upstreamName(found, backend);
    if (request.model === wanted) {
        r.internalRedirect(found.relay);
    } else {
        r.variables.ig_body = format.withModel(request, wanted);
        r.internalRedirect(found.relay + '_edited');
    }
    return true;
}

// The last of nginx's comma- and colon-separated values, one for each attempt.
function last(list) {
    const values = (list || '').split(/[ ,:]+/);
    return values[values.length - 1];
}

// error_page of the relay: no byte has gone to the client yet.
function retry(r) {
    const backend = r.variables.ig_backend;
    const tried = r.variables.ig_tried;
    const status = Number(last(r.variables.upstream_status)) || 502;
    state.release(backend);
    r.variables.ig_backend = '';
    if (status === 502 && last(r.variables.upstream_header_time) === '-') {
        state.markFailed(backend);
    }

    if (tried.split(',').length <= MAX_ATTEMPTS) {
        const format = r.variables.ig_content_type === 'application/json' ? body : form;
        const request = read(r, format);
        const found = route.find(request.named);
        if (found && send(r, found, request, format, tried)) {
            return;
        }
    }
    const attempts = tried.split(',').length - 1;
    refuse.refuse(r, status, 'backend_failed',
        'The model `' + r.variables.ig_model + '` did not answer: ' + attempts
        + (attempts === 1 ? ' backend' : ' backends') + ' tried, the last '
        + (status === 504 ? 'gave no answer in time.' : 'failed with ' + status + '.'));
}

// Ollama's management calls: for keys that may, to one box named by x-infergate-backend where
// there are several, and never retried.
function manage(r) {
    if (!policy.mayManage(r.variables.ig_policy)) {
        refuse.refuse(r, 403, 'not_allowed', 'This API key may not manage models.');
        return;
    }
    const boxes = catalog.ollamaBackends();
    const asked = r.headersIn['x-infergate-backend'];
    const box = asked === undefined && boxes.length === 1 ? boxes[0] : asked;
    if (boxes.indexOf(box) === -1) {
        refuse.refuse(r, 400, 'backend_not_named', boxes.length === 0
            ? 'There is no Ollama backend.'
            : 'Name the Ollama backend in the header x-infergate-backend: ' + boxes.join(', ') + '.');
        return;
    }
    state.occupy(box);
    r.variables.ig_backend = box;
    r.variables.ig_tried = box + ',';
    r.internalRedirect('@manage');
}

export default { serve, serveForm, retry, manage };
