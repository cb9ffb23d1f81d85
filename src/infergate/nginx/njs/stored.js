// stored: what an engine keeps under an id that it gave, /v1/responses/ID. Such a request says no model, and
// nothing here knows who gave the id: where several may have, each is asked whether it did.
import * as catalog from './catalog.js';
import * as refuse from './refuse.js';
import * as state from './state.js';

const PATH = /^\/v1\/responses\/[A-Za-z0-9_.-]{1,256}(\/cancel|\/input_items)?$/;

function serve(r) {
    const found = PATH.exec(r.uri);
    if (found === null) {
        refuse.refuse(r, 404, 'unknown_endpoint', 'There is no such endpoint.');
        return;
    }
    const method = found[1] === '/cancel' ? 'POST' : 'GET';
    if (r.method !== method) {
        refuse.told(r, { status: 405, code: 'method_not_allowed', allow: method,
            message: 'This endpoint takes ' + method + ', not ' + r.method + '.' });
        return;
    }
    const named = r.variables.http_x_infergate_backend;
    const keepers = catalog.keepers(r).filter((each) => named === undefined || each[0] === named);
    if (keepers.length === 0) {
        refuse.refuse(r, 404, 'unknown_endpoint', 'Answers are kept by ' + settings.keepers
            + ', and no model that this key may use is served by such a server.');
    } else if (keepers.length === 1) {
        goTo(r, keepers[0]);
    } else {
        ask(r, keepers, 0);
    }
}

// The first that has it; only what it says to that is looked at.
function ask(r, keepers, at) {
    if (at === keepers.length) {
        r.variables.ig_backend = '';
        refuse.refuse(r, 404, 'response_not_found', 'No backend has this response.');
        return;
    }
    const variables = r.variables;
    variables.ig_backend = keepers[at][0];
    variables.ig_stored = r.uri.replace(/\/(?:cancel|input_items)$/, '');
    r.subrequest('/.infergate/stored' + keepers[at][1], { method: 'GET' })
        .then((answer) => {
            if (answer.status < 400) {
                variables.ig_backend = '';
                goTo(r, keepers[at]);
            } else {
                ask(r, keepers, at + 1);
            }
        })
        .catch(() => ask(r, keepers, at + 1));
}

function goTo(r, keeper) {
    refuse.unlessFull(r, () => {
        state.hold(keeper[0], 1);
        r.variables.ig_backend = keeper[0];
        r.internalRedirect('@stored' + keeper[1]);
    });
}

export { serve };
export { admit } from './admit.js';
export { kept as query } from './query.js';
