// awaited: an attempt that was watched (late.js) failed before it answered a byte.
import * as late from './late.js';
import * as retry from './retry.js';

// error_page of awaited.conf. What nginx says of the attempt, it says of the server in between.
function again(r) {
    const variables = r.variables;
    const how = late.how(variables.ig_request_id + '/' + variables.ig_backend);
    if (how === late.LATE) {
        retry.again(r, 504, false);
        return;
    }
    if (how === late.CLOSED) {
        variables.ig_why = variables.ig_why + variables.ig_backend + ' closed before its first token;';
    }
    const reached = variables.upstream_http_x_infergate_reached;
    retry.again(r, retry.statusOf(r), reached !== undefined && !reached.endsWith('-'));
}

export { again };
