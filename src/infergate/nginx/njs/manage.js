// manage: the calls that change what an Ollama box holds.
import * as catalog from './catalog.js';
import * as policy from './policy.js';
import * as refuse from './refuse.js';
import * as state from './state.js';

// The box that a call is for, or the refusal.
function find(r) {
    if (policy.flags(r.variables.ig_policy).indexOf('m') === -1) {
        return { status: 403, code: 'not_allowed', message: 'This API key may not manage models.', param: null };
    }
    const boxes = catalog.ollamaBackends();
    const asked = r.variables.http_x_infergate_backend;
    const box = asked === undefined && boxes.length === 1 ? boxes[0] : asked;
    return boxes.indexOf(box) !== -1 ? box : { status: 400, code: 'backend_not_named', param: null,
        message: boxes.length === 0 ? 'There is no Ollama backend with an address of http.'
            : 'Name the Ollama backend in the header x-infergate-backend: ' + boxes.join(', ') + '.' };
}

// For keys that may, to one box, named by x-infergate-backend where there are several; and never
// retried.
function manage(r) {
    const box = find(r);
    if (typeof box !== 'string') {
        refuse.told(r, box);
        return;
    }
    refuse.unlessFull(r, () => {
        state.hold(box, 1);
        r.variables.ig_backend = box;
        r.internalRedirect('@manage');
    });
}

export { find, manage };
export { admit } from './admit.js';
export { kept as query } from './query.js';
