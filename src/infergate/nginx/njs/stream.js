// stream: an answer in events (SSE) or lines (NDJSON), piece by piece. See answer.js.
//
// A search through a piece of 200 bytes takes 6,500 instructions of njs 0.8.9, more than all else that is
// done for the piece. What matters stands at the end of a stream, so the last pieces are kept and looked at
// once (usages.js). Most pieces do not even come here: answer.js keeps them by itself.

import * as brokenOff from './broken_off.js' with { load: 'rare' };
import * as choices from './choices.js' with { load: 'rare' };
import * as held from './held.js' with { load: 'rare' };
import * as owed from './owed.js' with { load: 'lazy' };
import * as recent from './recent.js' with { load: 'lazy' };
import * as streamOptions from './stream_options.js' with { load: 'rare' };
import * as unasked from './unasked.js' with { load: 'lazy' };
import * as usages from './usages.js' with { load: 'lazy' };

// Of an event that is none of the usage, and no last one of a choice: engines write it so, near its end.
const GOES_ON = '"finish_reason":null';
// An event is a few hundred bytes; two in a piece that is longer are counted.
const LONG = 400;
const LONGEST_EVENT = 1048576;
// Bytes between two looks at how much is held.
const UNSEEN = 131072;
// Of what came last: so much at least, and up to twice as much. A usage takes up to 500 bytes; the last
// event of /v1/responses holds the whole answer, with metadata of up to 8 kB behind its usage.
const KEPT = 2048, KEPT_OF_RESPONSES = 16384;
// What came of a stream: engines that have nothing to say yet send comments (": …"), so that nobody leaves.
const NONE = 0, COMMENTS = 1, EVENTS = 2;

// The state of a stream; false where the answer is none, and undefined where there is nothing of it yet that
// could tell. data: how it begins. hold: state.js's.
function begin(r, data, flags, hold) {
    const type = r.headersOut['Content-Type'] || '';
    if (type.startsWith('text/event-stream') || type.startsWith('application/x-ndjson')) {
        return open(r, type[0] === 't', hold);
    }
    if (data.length === 0) {
        return flags.last ? false : undefined;
    }
    if (data[0] === 0x7b) {   // {
        return isLines(r.uri, data) && open(r, false, hold);
    }
    return !type.startsWith('text/') && (data.indexOf('data:') === 0 || data.indexOf('event:') === 0)
        && open(r, true, hold);
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

function open(r, isSse, hold) {
    // The usage was asked for by us alone, and may be taken out: nobody said how many bytes come.
    const note = r.variables.ig_note;
    const strip = isSse && note.startsWith(streamOptions.STRIP) && r.headersOut['Content-Length'] === undefined
        ? unasked.open() : undefined;
    const several = note.indexOf(' ') === -1 ? undefined
        : choices.open(Number(note.slice(note.indexOf(' '))));
    // Whether pieces may pass without a look: then none of them is the last one, which nginx marks in those of
    // its cache alone.
    const isKept = strip === undefined && !r.variables.upstream_cache_status;
    const state = { failed: '' };
    const kept = r.uri === '/v1/responses' ? KEPT_OF_RESPONSES : KEPT;
    const last = recent.open(kept);
    let first = '';        // of Anthropic's streams, which tell a part there
    let came = 0;          // NONE, COMMENTS or EVENTS
    let events = 0;        // in the pieces that were looked at
    let next = 0;          // the place in last's row of the one after it
    let called = false;    // without a piece
    let found;             // what usages.js found in it
    let begun;             // the start of an event that is not complete yet
    let unseen = 0;        // bytes since `holding` was asked, about
    let holding;           // held.js's state

    // data is empty when nginx has no more: flags.last says whether the answer is complete. One empty
    // piece can come with the headers. Returns the place in last.row() of the next piece, or 0 where answer.js
    // may not put it there by itself.
    function filter(data, flags) {
        const length = data.length;
        if (length === 0) {
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
        events += length <= LONG ? 1 : countEvents(data);
        if (strip !== undefined && (begun !== undefined || strip.isWaiting() || !goesOn(data))) {
            data = withoutUsage(data);
        } else {
            keep(data);
            if (unseen >= UNSEEN) {
                weigh();
            }
        }
        if (flags.last) {
            r.sendBuffer(data, { last: false, flush: false });
            finish(flags);
            return 0;
        }
        r.sendBuffer(data);   // as nginx flagged it: to pass `flags` on takes 1,000 to 1,800 instructions
        return isKept && came === EVENTS ? next : 0;
    }

    function filterAnthropic(data, flags) {
        if (first.length < KEPT) {
            first += data.slice(0, KEPT).toString();
            filter(data, flags);
            return 0;
        }
        return filter(data, flags);
    }

    function filterSeveral(data, flags) {
        several.add(data);
        filter(data, flags);
        return 0;
    }

    function keep(data) {
        unseen += unlooked() * LONG + data.length;
        events += unlooked();
        next = last.add(data);
    }

    // How many pieces answer.js has put into the row since.
    function unlooked() {
        return last.count() - next;
    }

    // Now and then: whether what is held is too much. The piece at hand goes out; what comes after it
    // goes on without this filter.
    function weigh() {
        unseen = 0;
        holding = holding || held.open(r, hold);
        if (holding.isTooMuch(0)) {
            r.done();
        }
    }

    // The stream of a backend that compresses though it is asked not to: nothing in it can be read, and
    // nothing added without making all of it unreadable. That it breaks off is the sign then.
    function encoded(data, flags) {
        if (data.length !== 0) {
            if (events === 0) {
                begins(r, data, hold);
            }
            events++;
        } else if (!flags.last && (called || events !== 0)) {
            state.failed = 'stream_truncated';
        }
        called = true;
        r.sendBuffer(data);
        return 0;
    }

    function countEvents(data) {
        const mark = isSse ? 'data:' : '\n';
        let count = 0;
        for (let at = data.indexOf(mark); at !== -1; at = data.indexOf(mark, at + mark.length)) {
            count++;
        }
        return count || 1;
    }

    // Whether the last event of a piece is there to its end, and there is nothing to take out.
    function goesOn(data) {
        const at = data.lastIndexOf(GOES_ON);
        return at !== -1 && data.indexOf('\n\n', at) === data.length - 2;
    }

    // What goes to the client: see unasked.js. What is not a complete event is kept until the rest of it
    // comes.
    function withoutUsage(data) {
        const all = begun === undefined ? data : Buffer.concat([begun, data]);
        const length = all.length;
        let cut = Math.max(0, strip.lastEnd(all));
        begun = undefined;
        if (cut < length && length - cut < LONGEST_EVENT) {
            begun = Buffer.from(all.slice(cut));
        } else {
            cut = length;
        }
        const passed = [];
        for (let start = 0, end; start < cut; start = end) {
            end = strip.endOf(all, start);
            end = end === -1 ? cut : end;
            const event = all.slice(start, end);
            next = last.add(event);
            strip.pass(event, passed);
        }
        return Buffer.concat(passed);
    }

    // What it tells of itself, as far as it came.
    function look() {
        if (found === undefined) {
            const end = last.end();
            found = usages.ofStream(r.uri, isSse, first, end.text, end.isWhole, several);
            state.failed = state.failed || found.failed;
        }
        return found;
    }

    // The end: complete, or not.
    function finish(flags) {
        if (strip !== undefined) {
            const passed = [];
            if (begun !== undefined) {
                next = last.add(begun);
                strip.pass(begun, passed);
                begun = undefined;
            }
            strip.rest(passed);
            passed.forEach((each) => {
                r.sendBuffer(each, { last: false, flush: false });
            });
        }
        look();
        // One that was closed as it should be, and says why it stops, only lacks its last word.
        if (!found.ended && !(flags.last && (found.finished || !found.hasEnd))) {
            state.failed = flags.last ? 'stream_ended_early' : 'stream_truncated';
            interrupt('The backend broke off in the middle of its answer.', 'stream_truncated', flags);
            return;
        }
        r.sendBuffer('', flags);
    }

    // Says to the client that nothing more comes.
    function interrupt(message, code, flags) {
        r.sendBuffer(brokenOff.event(r.uri, isSse, message, code), { last: flags.last, flush: true });
    }

    const isReadable = (r.headersOut['Content-Encoding'] || 'identity') === 'identity';
    const usual = r.uri === '/v1/messages' ? filterAnthropic : several === undefined ? filter : filterSeveral;
    return {
        filter: isReadable ? usual : encoded, interrupt: isReadable ? interrupt : undefined,
        row: last.row, size: last.size, state, events: () => events + unlooked(), tokens: () => look().tokens,
        holding: () => holding, failed: () => state.failed !== '',
    };
}

export { LONG, begin };
