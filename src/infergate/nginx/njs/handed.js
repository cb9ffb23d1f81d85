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
    r.sendBuffer(data, flags);
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
