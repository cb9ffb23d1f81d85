// handed: what the API tier answers: it goes on as it comes, and what ends with the request.
import * as brokenOff from './broken_off.js' with { load: 'rare' };
import * as contract from './contract.js';
import * as lent from './lent.js';

let called = false;   // with an empty piece: one can come with the headers
let begun = false;    // something came

// js_body_filter, with buffers. An answer that is cut off is told as one of a backend is (stream.js).
function filter(r, data, flags) {
    if (data.length === 0 && !flags.last && (begun || called)) {
        cutOff(r, flags);
        return;
    }
    called = true;
    begun = begun || data.length !== 0;
    r.sendBuffer(r.variables.ig_handed === contract.HANDED_GUARD ? unmarked(r, data) : data, flags);
}

// What a guardrail says for the log stands in a comment of the stream, which no client sees. No text of a backend can
// look like one: in JSON no line begins.
function unmarked(r, data) {
    const at = data.indexOf(contract.BLOCKED_MARK);
    if (at === -1 || (at > 0 && data[at - 1] !== 10)) {
        return data;
    }
    const end = data.indexOf('\n\n', at);
    const over = end === -1 ? data.length : end + 2;
    r.variables.ig_blocked = data.toString('utf8', at + contract.BLOCKED_MARK.length, end === -1 ? over : end);
    return Buffer.concat([data.slice(0, at), data.slice(over)]);
}

function cutOff(r, flags) {
    const type = r.headersOut['Content-Type'] || '';
    const isSse = type.startsWith('text/event-stream');
    const isStream = isSse || type.startsWith('application/x-ndjson');
    r.variables.ig_error = isStream ? 'stream_truncated' : 'answer_truncated';
    const said = isStream && r.headersOut['Content-Encoding'] === undefined
        ? brokenOff.event(r.uri, isSse, 'The gateway broke off in the middle of its answer.', 'stream_truncated') : '';
    r.sendBuffer(said, { last: flags.last, flush: true });
}

// The variable $ig_handed_back, in the log phase.
function back(r) {
    const failed = lent.end(r);
    if (failed !== '') {
        r.variables.ig_why = contract.WHY_CONTINUED + failed.slice(0, -1) + ';';
    }
    return '1';
}

export { filter, back };
