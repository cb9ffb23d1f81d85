// websocket: says when the WebSocket of a service with keys is over (see watch.js).
import * as memory from './memory.js';

// The body filter of WebSockets, through which nothing of one goes but its end: see watch.js. What is
// none after all, because the service answers something else, needs no watch.
function ended(r, data, flags) {
    r.sendBuffer(data, flags);
    if (flags.last || r.status !== 101) {
        over(r);
        r.done();
    }
}

// The variable $ig_over, for one that did not come to its end: its client was gone.
function over(r) {
    memory.perhaps(() => ngx.shared.ig_ended.set(r.variables.ig_request_id, '1'));
    return '';
}

export { ended, over };
export { admit, refuse, unclear } from './service.js';
