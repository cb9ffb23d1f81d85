// catalog: the model lists. The control plane keeps each list as [{ names, entry }], names being
// what a key's policy may call the entry; a caller sees the entries its key may use.
import policy from 'policy.js';
import refuse from 'refuse.js';
import state from 'state.js';

function allowed(r, name) {
    const keyPolicy = r.variables.ig_policy;
    return state.list(name)
        .filter((item) => item.names.some((each) => policy.allowsModel(keyPolicy, each)))
        .map((item) => item.entry);
}

function answer(r, value) {
    r.headersOut['Content-Type'] = 'application/json';
    r.return(200, JSON.stringify(value));
}

function list(r) {
    if (r.method !== 'GET' && r.method !== 'HEAD') {
        r.headersOut['Allow'] = 'GET';
        refuse.refuse(r, 405, 'method_not_allowed', 'This endpoint takes GET, not ' + r.method + '.');
        return;
    }
    switch (r.uri) {
    case '/v1/models':
        answer(r, { object: 'list', data: allowed(r, 'models') });
        break;
    case '/api/tags':
        answer(r, { models: allowed(r, 'tags') });
        break;
    case '/api/ps':
        answer(r, { models: allowed(r, 'ps') });
        break;
    default:
        answer(r, { version: state.list('version')[0] || '0.0.0' });
    }
}

// GET /v1/models/{id}; ids may contain slashes (BAAI/bge-m3).
function one(r) {
    const id = r.uri.slice('/v1/models/'.length);
    const found = allowed(r, 'models').filter((entry) => entry.id === id)[0];
    if (!found) {
        refuse.refuse(r, 404, 'model_not_found',
            'The model `' + id + '` does not exist or you do not have access to it.', 'model');
        return;
    }
    answer(r, found);
}

function ollamaBackends() {
    return state.list('ollama_backends');
}

export default { list, one, ollamaBackends };
