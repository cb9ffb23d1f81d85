// plain: the short way for most request bodies: at most 4 kB, no backslash, and `"model"` once in any
// case. Inside a string a quote would be escaped, so that one is a key or a whole value; the
// parsed object having the key, it is the key, and no other spelling of it can be in there. Three
// searches, 1 µs. Whatever is not plain goes the careful way: scan.js and body.js.
import check from 'check.js';

const LARGEST = 4096;

// See body.js for what is returned; `key` is where `"model"` stands. Undefined if it is not plain.
function read(r) {
    const buffer = r.requestBuffer;
    // The length first: making text of a large body is what costs.
    if (!buffer || buffer.length === 0 || buffer.length > LARGEST || buffer.indexOf(0x5c) !== -1
        || r.headersIn['Content-Encoding'] !== undefined) {
        return undefined;
    }
    const text = r.requestText;
    if (Buffer.byteLength(text) !== text.length && text.indexOf('\ufffd') !== -1) {
        return undefined;
    }
    const lower = text.toLowerCase();
    const key = lower.indexOf('"model"');
    if (key === -1 || key !== lower.lastIndexOf('"model"')) {
        return undefined;
    }
    try {
        const parsed = JSON.parse(text);
        const model = parsed.model;
        if (typeof model === 'string' && model !== '' && text.startsWith('"model"', key)) {
            return {
                model, named: model, text, key, parsed, bytes: buffer.length, stream: parsed.stream,
                max_tokens: parsed.max_completion_tokens || parsed.max_tokens,
                usage: parsed.stream_options === undefined ? 'absent' : 'there',
            };
        }
    } catch (e) {
        // body.js finds the words for it
    }
    return undefined;
}

function has(request, key) {
    return request.parsed[key] !== undefined;
}

function problem(uri, request, how) {
    return check.problem(uri, request.parsed, how);
}

// The body with `name` as its model and `insert` before its other keys. The value of the model is
// the next string after its key.
function edited(request, name, insert) {
    const text = request.text;
    const brace = text.indexOf('{') + 1;
    const start = text.indexOf('"', request.key + 7);
    const end = start + 2 + request.model.length;
    return text.slice(0, brace) + insert + text.slice(brace, start) + JSON.stringify(name) + text.slice(end);
}

export default { read, has, problem, edited };
