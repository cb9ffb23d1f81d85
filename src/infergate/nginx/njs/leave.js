// leave: the client left while its request waited in the queue. Stands in for answer.js's settle.
import * as charge from './charge.js';
import * as queue from './queue.js';

function settle(r) {
    const variables = r.variables;
    variables.ig_queue_ms = String(Date.now() - Number(variables.ig_entered));
    queue.leave(variables.ig_ticket);
    charge.settle(r, 0);
    return '';
}

// The variable $ig_line: see answer.js.
export { settle };
export { line as refuse } from './line.js';
