// first_token: keeps the head of an answer back until the first piece of its body is here (hold.js). A backend
// that dies before has answered nothing: nginx closes the connection, and the request's own side (awaited.js) asks
// another one.
//
// A head alone comes to the filter as an empty piece, which is not passed on. A second one is the end.
import * as late from './late.js';

// Of /v1/responses, vLLM sends these before it has read the prompt.
const PRELUDE = ['response.created', 'response.queued', 'response.in_progress'];
// A piece of them that is longer goes on: it has the instructions, and all tools.
const LONGEST_PRELUDE = 1048576;
// In ms: nginx's timers go by another clock than its request time.
const TOLERANCE = 50;

let begun = false;
let headed = false;   // the head is here
let early;            // what came before the first token: bytes, because a piece may end within a character

// js_body_filter.
function withhold(r, data, flags) {
    if (!begun) {
        if (data.length === 0 && !flags.last) {
            if (headed || early !== undefined) {
                late.endedEarly(r, Number(r.variables.request_time) * 1000 > Number(r.variables.ig_due_ms) - TOLERANCE);
            }
            headed = true;
            return;
        }
        if (!flags.last && r.uri === '/v1/responses') {
            const all = early === undefined ? Buffer.from(data) : Buffer.concat([early, data]);
            if (isPrelude(all.toString())) {
                early = all;
                return;
            }
        }
        begun = true;
        late.head(r);
        if (early !== undefined) {
            r.sendBuffer(early);
        }
    }
    if (r.variables.ig_pause_ms !== '0') {
        late.piece(r, data, flags);
        return;
    }
    r.sendBuffer(data, flags);
    r.done();   // what comes now, nginx passes on by itself
}

function isPrelude(text) {
    return text.length < LONGEST_PRELUDE && text.split('\n\n').every((event) => event === '' || PRELUDE.some(
        (name) => event.startsWith('event: ' + name + '\n') || event.startsWith('data: {"type":"' + name + '"')));
}

export { withhold };
