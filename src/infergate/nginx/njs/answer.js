// answer: what comes back from a backend, and what is left to do when it is over.
//
// The body filter reads how many tokens were used, takes out the usage that only we asked for, and
// ends a stream that broke off with an error event, so that it cannot be taken for a finished one. It
// must not parse every piece: it looks for one word in the first, and keeps the end for the log phase.
// Everything goes on as it came. An answer that is no stream and broke off is a failure, too.
//
// njs starts one engine for a request in this location, so the variables of this file are the
// request's own, from the first piece to the log phase. What only streams need is in stream.js.
import * as aftermath from './aftermath.js' with { load: 'lazy' };
import * as charge from './charge.js' with { load: 'lazy' };
import * as held from './held.js' with { load: 'rare' };
import * as improper from './improper.js' with { load: 'rare' };
import * as lines from './line.js' with { load: 'rare' };
import * as owed from './owed.js' with { load: 'lazy' };
import * as pace from './pace.js' with { load: 'rare' };
import * as recent from './recent.js' with { load: 'lazy' };
import * as state from './state.js';
import * as stream from './stream.js' with { load: 'lazy' };
import * as streamKept from './stream_kept.js' with { load: 'lazy' };
import * as thrown from './thrown.js' with { load: 'rare' };
import * as usages from './usages.js' with { load: 'lazy' };

// Pieces of up to 16 kB (proxy_buffer_size) that nobody counts.
const FEW = 8;
// Of the end of an answer, where its usage is looked for in the log phase.
const KEPT = 4096;

let pieces = 0;        // of an answer in one piece
let begun = false;     // the filter was called
let broken = false;    // it broke off
let ended = false;     // all of it came, in pieces
let row, size = 0;     // the last pieces of a stream (recent.js), and how many may go there without a look
let usual, usualSize = 0;   // the same of those that end as usual (unasked.js), and how that is; 0 where size is not
let place = 0;         // of the next one among them
let streaming;         // stream.js's state; false if it is no stream, undefined before that is known
let usage;             // [prompt, completion, cached] tokens, as the backend told them; null for none
let front;             // the same, told before the data (usages.js)
let last;              // recent.js's state, of an answer whose usage was not found at once
let mine;              // the backend, where hot.js told it; else it is in $ig_backend
let charged = true;    // something was taken from limits, perhaps
let holding;           // held.js's state, of an answer in many pieces
let settled = false;   // it is over
let owes = true;       // prompt tokens, perhaps (owed.js)
let calm = false;      // no breaker counts, and nobody can wait for this slot

// hot.js knows that the answer is no stream, and saves the looks at what it knows.
function expectOnePiece(backend, isCharged, isCalm, isOwing) {
    streaming = false;
    mine = backend;
    charged = isCharged;
    calm = isCalm;
    owes = isOwing;
}

// The answer was kept (kept.js), or none was asked for (cached.js): no backend worked for it.
function forget() {
    settled = true;
    usage = null;
    streaming = false;
}

// The variable $ig_improper: see improper.js. When the request is over, $ig_line. One function for both, because
// each costs every request 400 instructions.
function refuse(r) {
    if (settled) {
        return lines.line(r);
    }
    streaming = improper.open(r);
    return '';
}

// js_body_filter, with buffers. Of most streams only the beginning and the end are looked at (stream.js): any
// other piece of the usual length is kept and passed on here. Whatever more is done for a piece would show: nginx
// itself takes 2,700 instructions for it, an empty filter 3,500 to 5,000 more, `flags`, variables of its own or
// a call 100 to 1,800.
function filter(r, data, flags) {
    if (place < size && (data.length - recent.SHORT) >>> 0 < streamKept.LONG) {
        row[place++] = data;
        r.sendBuffer(data);
        return;
    }
    if (place < usualSize && endsAsUsual(data)) {
        row[place++] = data;
        r.sendBuffer(data);
        return;
    }
    try {
        if (streaming) {
            relay(data, flags);
        } else {
            look(r, data, flags);
        }
    } catch (e) {
        size = usualSize = 0;
        streaming = thrown.open(r, e, streaming, flags);
    }
}

function endsAsUsual(data) {
    const length = data.length;
    const start = length - usual.length;
    return (length - recent.SHORT) >>> 0 < streamKept.LONG && start >= 0 && data.toString('utf8', start) === usual;
}

function relay(data, flags) {
    place = streaming.filter(data, flags);
    size = usualSize = 0;
    if (place !== 0) {
        row = streaming.row();
        usual = streaming.usual();
        if (usual === undefined) {
            size = streaming.size;
        } else {
            usualSize = streaming.size;
        }
    }
}

// The same for the first piece of anything, and all others of what is no stream.
function look(r, data, flags) {
    if (streaming === undefined) {
        streaming = stream.begin(r, data, flags, state.hold);
    }
    if (streaming) {
        relay(data, flags);
        return;
    }
    if (data.length !== 0) {
        if (pieces === 0) {
            const at = data.lastIndexOf('"usage"');
            if (at !== -1 && takeUsage(data, at)) {
                if (Number(r.headersOut['Content-Length']) === data.length) {
                    r.sendBuffer(data, flags);
                    r.done();   // nothing is left that could break off
                    return;
                }
            } else {
                front = at === -1 ? undefined : usages.atFront(data, at);
            }
            last = recent.open(KEPT);
        } else {
            usage = undefined;   // the piece ended behind a usage further down
        }
        last.add(data);
        pieces++;
        if (pieces > FEW) {
            holding = holding || held.open(r, state.hold);
            if (holding.isTooMuch(data.length)) {
                r.sendBuffer(data, flags);
                r.done();
                return;
            }
        }
    } else if (begun) {   // one empty call can come with the headers
        ended = flags.last;
        broken = !ended;
    }
    begun = true;
    r.sendBuffer(data, flags);
}

// The usage where it stands at the top of an answer that is here to its end; else it is left to the log
// phase. What comes behind it, with a `{` before, is an object then (usages.js).
function takeUsage(data, at) {
    try {
        const told = JSON.parse('{' + data.toString('utf8', at)).usage;
        const details = told.prompt_tokens_details;
        const prompt = told.prompt_tokens;
        const completion = told.completion_tokens;
        const cached = details ? details.cached_tokens : 0;
        // Whole numbers below 2^32; all others are looked at there.
        if (prompt >>> 0 === prompt && completion >>> 0 === completion && cached >>> 0 === cached) {
            usage = [prompt, completion, cached];
        }
    } catch (e) {
        // not the one object
    }
    return usage !== undefined;
}

// The request is over, however it ended. Named first in $ig_sent_times (maps.conf), so it runs in the log
// phase exactly once, also when the client left, and what it finds out stands in the line.
function settle(r) {
    settled = true;
    const variables = r.variables;
    const backend = mine === undefined ? variables.ig_backend : mine;
    let tokens;
    if (backend !== '') {
        state.hold(backend, -1);   // before anything that may fail
        if (owes && variables.ig_owed !== '') {
            owed.settle(r, state.hold, false);
        }
    }
    findUsage(r, backend);
    if (usage) {
        tokens = tellUsage(variables);
    }
    if (charged && variables.ig_charge !== '') {
        charge.settle(r, tokens);
    }
    if (backend !== '') {
        learn(r, backend);
    }
    return '';
}

// What the pieces did not tell at once.
function findUsage(r, backend) {
    // Where it broke off may be behind a usage further down: it counts if it is there to its own end.
    if (last !== undefined && !ended && usages.objectOf(last.end().text) === undefined) {
        usage = last = undefined;
    }
    if (usage === undefined && (last !== undefined || streaming || (backend !== '' && r.status === 200))) {
        usage = aftermath.usage(r, streaming, last, front, holding);
    }
}

// In the log. Returns how many tokens there are in all.
function tellUsage(variables) {
    variables.ig_input_tokens = usage[0];
    variables.ig_output_tokens = usage[1];
    if (usage[2] !== 0) {
        variables.ig_cached_tokens = usage[2];
    }
    if (usage[3] !== undefined) {
        variables.ig_tokens_estimated = 'true';
    }
    return usage[0] + usage[1];
}

// Where the gateway can learn something of it: see aftermath.js.
function learn(r, backend) {
    if (r.status >= 500 || broken || (streaming && streaming.failed())
        || (!calm && (ngx.shared.ig_breakers.get(backend) !== undefined || ngx.shared.ig_waiting.get('') > 0))
        || (usage && usage[1] > pace.SHORT && (usage[1] > pace.LONG || Date.now() % 8 === 0))) {
        aftermath.learn(r, backend, streaming, usage || undefined, broken);
    }
}

export { expectOnePiece, forget, refuse, streaming, filter, settle };
