// websocket_end: says when a WebSocket is over that somebody waits beside (see watch.js).
import * as memory from './memory.js';

// The body filter of WebSockets, through which nothing of one goes but its end: see watch.js. What is
// none after all, because the answer is something else, needs no watch.
function ended(r, data, flags) {
    r.sendBuffer(data, flags);
    if (flags.last || r.status !== 101) {
        over(r);
        r.done();
    }
}

// For one that did not come to its end: its client was gone, or it is an error of ours.
function over(r) {
    memory.perhaps(() => ngx.shared.ig_ended.set(r.variables.ig_request_id, '1'));
    return '';
}

export { ended, over };
