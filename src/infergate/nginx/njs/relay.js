// relay: hand an admitted request to the backend that route.js picks. `format` is the module that
// reads the body: plain.js or body.js for JSON, form.js for an upload.
import policy from 'policy.js';
import refuse from 'refuse.js';
import route from 'route.js';
import state from 'state.js';

function handle(r, format) {
    if (r.method !== 'POST') {
        refuse.refuse(r, 405, 'method_not_allowed', 'This endpoint takes POST, not ' + r.method + '.');
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
    const found = route.find(request.named);
    if (!found && request.named === undefined) {
        refuse.refuse(r, 400, 'missing_model', "You must provide a 'model'.", 'model');
        return;
    }
    const keyPolicy = r.variables.ig_policy;
    if (!found || !(policy.allowsModel(keyPolicy, found[0]) || policy.allowsModel(keyPolicy, request.named))) {
        refuse.refuse(r, 404, 'model_not_found',
            'The model `' + request.named + '` does not exist or you do not have access to it.', 'model');
        return;
    }
    r.variables.ig_model = found[0];
    send(r, found, request, format, '');
}

// Sends the request to the best backend not yet tried. Returns false if there is none.
function send(r, found, request, format, tried) {
    const backend = route.pick(found, tried, r.uri.startsWith('/api/'));
    if (!backend) {
        if (tried === '') {
            refuse.refuse(r, 503, 'no_backend', 'No backend of the model `' + found[0] + '` is available.');
        }
        return false;
    }
    const name = backend[route.NAME];
    const variables = r.variables;
    state.occupy(name);
    variables.ig_backend = name;

    const wanted = route.upstreamName(found, backend);
    if (request.model === wanted) {
        r.internalRedirect(backend[route.RELAY]);
    } else {
        variables.ig_body = format.withModel(request, wanted);
        r.internalRedirect(backend[route.RELAY] + '_edited');
    }
    return true;
}

export default { handle, send };
