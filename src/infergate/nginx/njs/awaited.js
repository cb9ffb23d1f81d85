// awaited: an attempt that was watched (late.js) failed before it answered a byte.
import * as late from './late.js';
import * as retry from './retry.js';

// error_page of awaited.conf. What nginx says of the attempt, it says of the server in between.
function again(r) {
    const variables = r.variables;
    if (late.was(variables.ig_request_id + '/' + variables.ig_backend)) {
        retry.again(r, 504, false);
        return;
    }
    const reached = variables.upstream_http_x_infergate_reached;
    retry.again(r, retry.statusOf(r), reached !== undefined && !reached.endsWith('-'));
}

export { again };
