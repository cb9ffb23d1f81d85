// blobs: files of models for an Ollama box, which may be larger than memory: nginx passes them on as they
// come. So what is decided of them is decided before the body, as the variable $ig_box.
import * as manage from './manage.js' with { load: 'lazy' };
import * as memory from './memory.js' with { load: 'lazy' };
import * as state from './state.js';

// yes, and the end of the name of the location that leads there; otherwise the refusal is in $ig_refusal, and this its status.
function box(r) {
    const found = manage.find(r);
    if (found.status === undefined) {
        try {
            state.hold(found[0], 1);
            r.variables.ig_backend = found[0];
            return 'yes' + found[1];
        } catch (e) {
            return refused(r, memory.noRoom(e));
        }
    }
    return refused(r, found);
}

function refused(r, refusal) {
    r.variables.ig_refusal = JSON.stringify(refusal);
    return String(refusal.status);
}

export { box };
export { admit } from './admit.js';
