// granted: the wait is over, with a slot or without one.
import * as careful from './careful.js';
import * as queue from './queue.js';
import * as refuse from './refuse.js';
import * as relay from './relay.js';
import * as route from './route.js';
import * as state from './state.js';

function granted(r) {
    const variables = r.variables;
    const waited = Math.max(0, Date.now() - Number(variables.ig_entered));   // the clock may be set
    const name = queue.granted(variables.ig_ticket);
    variables.ig_queue_ms = String(Number(variables.ig_queue_ms) + waited);
    r.headersOut['x-infergate-queue-ms'] = variables.ig_queue_ms;
    if (name === undefined) {
        queue.leave(variables.ig_ticket);
        refuse.told(r, { status: 503, code: 'queue_timeout', message: 'All backends of the model `'
            + variables.ig_model + '` were busy for ' + Math.round(waited / 100) / 10 + ' s.', retry_after: 5 });
        return;
    }
    refuse.unlessFull(r, () => {
        adopt(name);
        variables.ig_backend = name;
        dispatch(r, name, waited);
    });
}

function dispatch(r, name, waited) {
    const variables = r.variables;
    const format = careful.formatOf(r);
    const found = route.find(variables.ig_model);
    const backend = found && found[route.BACKENDS].filter((each) => each[route.NAME] === name)[0];
    if (!backend) {   // the configuration changed meanwhile
        refuse.refuse(r, 503, 'no_backend', 'No backend of the model `' + variables.ig_model + '` is available.');
        return;
    }
    variables.ig_why = variables.ig_why + 'its turn after ' + waited + ' ms, at ' + name + ';';
    relay.dispatch(r, found, format.read(r), format, backend);
}

// The slot was taken for a request of any worker (queue.js); from here on it is this worker's.
function adopt(name) {
    const slots = state.slots();
    try {
        slots.incr(process.pid + ':' + name, 1, 0);
    } catch (e) {
        slots.incr(name, -1, 0);
        throw e;
    }
}

export { granted };
