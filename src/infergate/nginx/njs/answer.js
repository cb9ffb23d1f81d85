// answer: what comes back from a backend, and what is left to do when it is over.
//
// The body filter reads how many tokens were used, takes out the usage that only we asked for, and
// ends a stream that broke off with an error event, so that it cannot be taken for a finished one. It
// must not parse every piece: it looks for a few words in the bytes, and parses the one event that
// has them. Everything else goes on as it came.
//
// njs starts one engine for a request in this location, so the variables of this file are the
// request's own, from the first piece to the log phase. What only streams need is in stream.js.
import aftermath from 'aftermath.js';   // seldom
import charge from 'charge.js';   // seldom
import held from 'held.js';   // rarely
import improper from 'improper.js';   // rarely
import state from 'state.js';
import stream from 'stream.js';   // seldom

// Pieces of up to 16 kB (proxy_buffer_size) that nobody counts.
const FEW = 8;

let pieces = 0;        // of an answer in one piece
let streaming;         // stream.js's state; undefined before the first piece, false if it is no stream
let usage;             // [prompt, completion, cached] tokens, as the backend told them
let tail = '';         // of the piece before, where the usage may begin
let mine;              // the backend, where hot.js told it; else it is in $ig_backend
let charged = true;    // something was taken from limits, perhaps
let holding;           // held.js's state, of an answer in many pieces
let calm = false;      // no breaker counts, and nobody can wait for this slot

// hot.js knows that the answer is no stream, and saves the looks at what it knows.
function expectOnePiece(backend, isCharged, isCalm) {
    streaming = false;
    mine = backend;
    charged = isCharged;
    calm = isCalm;
}

// The answer was kept (kept.js): no backend worked for it.
function forget() {
    usage = undefined;
    streaming = false;
    tail = '';
}

// The variable $ig_improper: see improper.js.
function refuse(r) {
    streaming = improper.open(r);
    return '';
}

// js_body_filter, with buffers.
function filter(r, data, flags) {
    if (streaming === undefined) {
        const type = r.headersOut['Content-Type'] || '';
        streaming = type.startsWith('text/event-stream') || type.startsWith('application/x-ndjson')
            ? stream.open(r, type[0] === 't', state.hold) : false;
    }
    if (streaming !== false) {
        streaming.filter(data, flags);
        return;
    }
    if (data.length !== 0) {
        // The usage stands near the end, perhaps over the edge of two pieces.
        const at = data.lastIndexOf('"usage"');
        if (at !== -1 && pieces === 0 && takeUsage(data, at)) {
            r.sendBuffer(data, flags);
            r.done();   // what is left goes on without this filter
            return;
        }
        tail = (tail + data.slice(at === -1 ? -400 : at).toString()).slice(at === -1 ? -800 : 0).slice(0, 4000);
        pieces++;
        if (pieces > FEW) {
            holding = holding || held.open(r, state.hold);
            if (holding.isTooMuch(data.length)) {
                r.sendBuffer(data, flags);
                r.done();
                return;
            }
        }
    }
    r.sendBuffer(data, flags);
}

// The usage where it is one object without details; with them it is left to the log phase.
function takeUsage(data, at) {
    const text = data.toString('utf8', at);
    try {
        const told = JSON.parse(text.slice(text.indexOf('{'), text.indexOf('}') + 1));
        if (told.prompt_tokens !== undefined) {
            usage = [told.prompt_tokens, told.completion_tokens, 0];
        }
    } catch (e) {
        // not the one object
    }
    return usage !== undefined;
}

// The request is over, however it ended. Named first in the log format, so it runs in the log phase
// exactly once, also when the client left, and what it finds out stands in the line.
function settle(r) {
    const variables = r.variables;
    const backend = mine === undefined ? variables.ig_backend : mine;
    let tokens;
    if (backend !== '') {
        state.hold(backend, -1);   // before anything that may fail
    }
    if (streaming || tail !== '') {
        usage = aftermath.open().usage(r, streaming, tail, holding);
    }
    if (usage !== undefined) {
        tokens = usage[0] + (usage[1] || 0);
        variables.ig_tokens = '[' + usage[0] + ',' + (usage[1] || 0) + ',' + usage[2]
            + (usage[3] === undefined ? ']' : ',1]');
    }
    if (charged && variables.ig_charge !== '') {
        charge.settle(r, tokens);
    }
    if (backend === '') {
        return '';
    }
    if (r.status >= 500 || (streaming && streaming.failed())
        || (!calm && (ngx.shared.ig_breakers.get(backend) !== undefined || ngx.shared.ig_waiting.get('') > 0))
        || (tokens % 8 === 0 && usage[1] > 15)) {
        aftermath.open().learn(r, backend, streaming, usage);
    }
    return '';
}

export default { expectOnePiece, forget, refuse, streaming, filter, settle };
