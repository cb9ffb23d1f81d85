// hedge_retry: hedge.js got no answer from the first backend, nor from a second.
import * as careful from './careful.js';
import * as hedging from './hedging.js';
import * as refuse from './refuse.js';
import * as relay from './relay.js';
import * as retry from './retry.js';
import * as route from './route.js';

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
    const found = route.find(r.variables.ig_model);
    const backend = found && found[route.BACKENDS].filter((each) => each[route.NAME] === name)[0];
    r.error('hedging failed (' + reason + '); ' + name + ' is asked alone');
    if (!backend) {   // the configuration changed meanwhile
        refuse.refuse(r, 503, 'no_backend', 'No backend of the model `' + r.variables.ig_model + '` is available.');
        return;
    }
    const format = careful.formatOf(r);
    relay.dispatch(r, found, format.read(r), format, backend);
}

export { again };
