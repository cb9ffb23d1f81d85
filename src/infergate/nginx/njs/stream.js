// stream: an answer in events (SSE) or lines (NDJSON), piece by piece. See answer.js.
//
// A search through a piece of 200 bytes takes 6,500 instructions of njs 0.8.9, more than all else that is
// done for the piece. What matters stands at the end of a stream, so the last pieces are kept and looked at
// once (usages.js). Most pieces do not even come here: answer.js keeps them by itself.

import * as brokenOff from './broken_off.js' with { load: 'rare' };
import * as choices from './choices.js' with { load: 'rare' };
import * as encoded from './stream_encoded.js' with { load: 'rare' };
import * as owed from './owed.js' with { load: 'lazy' };
import * as streamKept from './stream_kept.js' with { load: 'lazy' };
import * as streamOptions from './stream_options.js' with { load: 'rare' };
import * as unasked from './unasked.js' with { load: 'lazy' };
import * as usages from './usages.js' with { load: 'lazy' };

// What came of a stream: engines that have nothing to say yet send comments (": …"), so that nobody leaves.
const NONE = 0, COMMENTS = 1, EVENTS = 2;

// The state of a stream; false where the answer is none, and undefined where there is nothing of it yet that
// could tell. data: how it begins. hold: state.js's.
function begin(r, data, flags, hold) {
    const type = r.headersOut['Content-Type'] || '';
    if (type.startsWith('text/event-stream') || type.startsWith('application/x-ndjson')) {
        return start(r, type[0] === 't', hold);
    }
    if (data.length === 0) {
        return flags.last ? false : undefined;
    }
    if (data[0] === 0x7b) {   // {
        return isLines(r.uri, data) && start(r, false, hold);
    }
    return !type.startsWith('text/') && (data.indexOf('data:') === 0 || data.indexOf('event:') === 0)
        && start(r, true, hold);
}

// COMMENTS or EVENTS; that these began is written down for the log.
function begins(r, data, hold) {
    if (data[0] === 0x3a && data.indexOf('data:') === -1) {   // :
        return COMMENTS;
    }
    r.variables.ig_first_chunk = r.variables.request_time;
    if (r.variables.ig_owed !== '') {
        owed.settle(r, hold, true);
    }
    return EVENTS;
}

// Whether an answer of Ollama begins with a line of a stream, and does not say so.
function isLines(uri, data) {
    if (uri !== '/api/chat' && uri !== '/api/generate') {
        return false;
    }
    try {
        return JSON.parse(data.toString('utf8', 0, data.indexOf('\n'))).done === false;
    } catch (e) {
        return false;
    }
}

function start(r, isSse, hold) {
    const encoding = r.headersOut['Content-Encoding'];
    return encoding === undefined || encoding === 'identity' ? open(r, isSse, hold)
        : encoded.open(r, (data) => begins(r, data, hold));
}

function open(r, isSse, hold) {
    const kept = streamKept.open(r, isSse, hold);
    const way = passage(r, isSse, kept);
    // Whether pieces may pass without a look: then none of them is the last one, which nginx marks in those of
    // its cache alone.
    const isUnseen = way.several === undefined && !r.variables.upstream_cache_status;
    const state = { failed: '' };
    let came = NONE;       // or COMMENTS or EVENTS
    let called = false;    // without a piece
    let found;             // what usages.js found in it

    // data is empty when nginx has no more: flags.last says whether the answer is complete. One empty
    // piece can come with the headers. Returns the place in kept.row() of the next piece, or 0 where answer.js
    // may not put it there by itself; and it may not where a piece ends otherwise than usual().
    function filter(data, flags) {
        if (data.length === 0) {
            if (came === NONE && !called && !flags.last) {
                called = true;
                r.sendBuffer(data);
            } else {
                finish(flags);
            }
            return 0;
        }
        if (came !== EVENTS) {
            came = begins(r, data, hold);
        }
        const passed = way.pass(data);
        if (flags.last) {
            r.sendBuffer(passed, { last: false, flush: false });
            finish(flags);
            return 0;
        }
        r.sendBuffer(passed);   // as nginx flagged it: to pass `flags` on takes 1,000 to 1,800 instructions
        return isUnseen && came === EVENTS && way.usual() !== '' ? kept.next() : 0;
    }

    // What it tells of itself, as far as it came.
    function told() {
        if (found === undefined) {
            const end = kept.end();
            found = usages.ofStream(r.uri, isSse, kept.first(), end.text, end.isWhole, way.several);
            state.failed = state.failed || found.failed;
        }
        return found;
    }

    // The end: complete, or not.
    function finish(flags) {
        way.rest().forEach((each) => r.sendBuffer(each, { last: false, flush: false }));
        const fault = faultOf(told(), flags.last);
        if (fault === '') {
            r.sendBuffer('', flags);
        } else {
            state.failed = fault;
            interrupt('The backend broke off in the middle of its answer.', 'stream_truncated', flags);
        }
    }

    // Says to the client that nothing more comes.
    function interrupt(message, code, flags) {
        r.sendBuffer(brokenOff.event(r.uri, isSse, message, code), { last: flags.last, flush: true });
    }

    return {
        filter, interrupt, usual: way.usual, row: kept.row, size: kept.size, state, events: kept.events,
        tokens: () => told().tokens, holding: kept.holding, failed: () => state.failed !== '',
    };
}

// What pieces go through: what is taken out of them, and what is looked for in each.
function passage(r, isSse, kept) {
    // The usage was asked for by us alone, and may be taken out: nobody said how many bytes come.
    const note = r.variables.ig_note;
    const strip = isSse && note.startsWith(streamOptions.STRIP) && r.headersOut['Content-Length'] === undefined
        ? unasked.open(kept.add) : undefined;
    const several = note.indexOf(' ') === -1 ? undefined
        : choices.open(Number(note.slice(note.indexOf(' '))));

    // What of a piece goes to the client now.
    function pass(data) {
        let passed = data;
        kept.look(data);
        if (several !== undefined) {
            several.add(data);
        }
        if (strip !== undefined && !strip.goesOn(data)) {
            passed = strip.pass(data);
        } else {
            kept.add(data);
        }
        if ((strip === undefined || !strip.isHolding()) && kept.isTooMuch()) {
            r.done();   // this one goes out; what comes after it goes on without this filter
        }
        return passed;
    }

    return {
        pass, several, rest: () => (strip === undefined ? [] : strip.rest()),
        usual: () => (strip === undefined ? undefined : strip.usual()),
    };
}

// What is wrong with how a stream ended. One that was closed as it should be, and says why it stops, only lacks its
// last word.
function faultOf(found, isClosed) {
    if (found.ended || (isClosed && (found.finished || !found.hasEnd))) {
        return '';
    }
    return isClosed ? 'stream_ended_early' : 'stream_truncated';
}

export { begin };
