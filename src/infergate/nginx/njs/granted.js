// granted: the wait is over, with a slot or without one.
import * as queue from './queue.js';
import * as refuse from './refuse.js';
import * as sameBackend from './same_backend.js';
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
        sameBackend.send(r, name, 'its turn after ' + waited + ' ms, at ' + name + ';');
    });
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
