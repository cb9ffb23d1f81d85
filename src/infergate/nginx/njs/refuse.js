// refuse: hand a request to @refused, which answers with an error in the caller's dialect
// (refusal.js). Kept apart from it because every function of a file costs each request that loads
// the file 0.05 µs, and nearly no request is refused.

import * as memory from './memory.js' with { load: 'lazy' };

// code: OpenAI's machine-readable one; it is logged too. param: the field of the body at fault.
function refuse(r, status, code, message, param) {
    told(r, { status, code, message, param });
}

// refusal: { status, code, message, param, retry_after (seconds), allow (methods, for 405) }
function told(r, refusal) {
    r.variables.ig_error = refusal.code;
    refusal.param = refusal.param || null;
    r.variables.ig_refusal = JSON.stringify(refusal);
    r.internalRedirect('@refused');
}

// Does the step of a request, or refuses the request where shared memory has no room for it.
function unlessFull(r, step) {
    try {
        step();
    } catch (e) {
        told(r, memory.noRoom(e));
    }
}

// The refusal where a model has no backend that may be asked now.
function unavailable(model) {
    return { status: 503, code: 'no_backend', message: 'No backend of the model `' + model + '` is available.', retry_after: 5 };
}

// What a reader of bodies returns for one that is wrong: what, and the field at fault.
function bad(message, param) {
    return { error: message, param: param || null };
}

// The same of one that is compressed. The coding that is none is no reason.
function encoded(r) {
    const encoding = (r.variables.http_content_encoding || 'identity').toLowerCase();
    return encoding === 'identity' ? undefined
        : bad('Compressed request bodies are not accepted; send it without Content-Encoding.');
}

export { refuse, told, unlessFull, unavailable, bad, encoded };
