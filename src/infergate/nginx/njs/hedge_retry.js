// hedge_retry: hedge.js got no answer from the first backend, nor from a second.
import * as hedging from './hedging.js';
import * as retry from './retry.js';
import * as sameBackend from './same_backend.js';

// error_page of @hedge: no byte has gone to the client yet.
function again(r) {
    const variables = r.variables;
    const backend = variables.ig_backend;
    const told = hedging.told(r);
    hedging.isOver(r);
    if (told === undefined || told.broken !== undefined) {
        alone(r, backend, told === undefined ? 'no answer' : told.broken);
        return;
    }
    variables.ig_why = variables.ig_why + hedging.words(backend, told);
    if (told.second !== undefined) {
        variables.ig_tried = told.second + ',';
    }
    // A backend may say what hedge.js says when it is broken.
    retry.again(r, told.status === settings.undecided ? 502 : told.status, told.reached);
}

// hedge.js itself failed: its worker was killed, perhaps. The backend that has the slot is asked alone.
function alone(r, name, reason) {
    r.error('hedging failed (' + reason + '); ' + name + ' is asked alone');
    sameBackend.send(r, name, '');
}

export { again };
