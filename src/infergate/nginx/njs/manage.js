// manage: the calls that change what an Ollama box holds.
import * as catalog from './catalog.js';
import * as contract from './contract.js';
import * as policy from './policy.js';
import * as refuse from './refuse.js';
import * as state from './state.js';

// The box that a call is for, [name, the end of the names of locations that lead there], or the refusal.
function find(r) {
    if (policy.flags(r.variables.ig_policy).indexOf(contract.POLICY_FLAG_MANAGES) === -1) {
        return { status: 403, code: 'not_allowed', message: 'This API key may not manage models.', param: null };
    }
    const boxes = catalog.boxes();
    const asked = r.variables.http_x_infergate_backend;
    const found = asked === undefined ? boxes : boxes.filter((box) => box[0] === asked);
    return found.length === 1 ? found[0] : { status: 400, code: 'backend_not_named', param: null,
        message: boxes.length === 0 ? 'There is no Ollama backend.'
            : 'Name the Ollama backend in the header x-infergate-backend: '
                + boxes.map((box) => box[0]).join(', ') + '.' };
}

// For keys that may, to one box, named by x-infergate-backend where there are several; and never
// retried.
function manage(r) {
    const box = find(r);
    if (box.status !== undefined) {
        refuse.told(r, box);
        return;
    }
    refuse.unlessFull(r, () => {
        state.hold(box[0], 1);
        r.variables.ig_backend = box[0];
        r.internalRedirect('@manage' + box[1]);
    });
}

export { find, manage };
export { admit } from './admit.js';
export { kept as query } from './query.js';
