// explained: the headers that tell a key which may know it (policy flag x) where its request went.
import * as attempts from './attempts.js';

// backend, model: their names. hedged.js and granted.js say it anew where it came otherwise.
function tell(r, backend, model) {
    const headers = r.headersOut;
    headers['x-infergate-backend'] = backend;
    headers['x-infergate-model'] = model;
    headers['x-infergate-attempts'] = String(attempts.countOf(r.variables.ig_tried) + 1);
    headers['x-infergate-queue-ms'] = r.variables.ig_queue_ms;
}

export { tell };
