// plain: the short way for most request bodies: at most 4 kB, and `"model"` once. Inside a string a
// quote is escaped, so that one is a key or a whole value; the parsed object having the key, it is the
// key. Nor is the key there in another spelling: no letter is written as an escape, and the keys were
// looked through. Whatever is not plain goes the careful way: scan.js and body.js.

const LARGEST = 4096;

// See body.js for what is returned; `value` is where the model's name stands. Undefined if it is not
// plain.
function read(r) {
    if (r.headersIn['Content-Length'] > LARGEST) {   // making text of a large body is what costs
        return undefined;
    }
    const text = r.requestText;
    if (!text || text.length > LARGEST) {
        return undefined;
    }
    const bytes = Buffer.byteLength(text);
    const key = text.indexOf('"model"');
    // A byte that is no UTF-8 became U+FFFD in the text. Text that is all ASCII has none.
    if (key === -1 || text.indexOf('"model"', key + 7) !== -1 || text.indexOf('\\u00') !== -1
        || (bytes !== text.length && text.indexOf('\ufffd') !== -1)) {
        return undefined;
    }
    try {
        const parsed = JSON.parse(text);
        const model = parsed.model;
        // The value is the next string, as long as it is spelled without escapes.
        const value = text.indexOf('"', key + 7);
        if (typeof model !== 'string' || model === '' || !text.startsWith(model + '"', value + 1)) {
            return undefined;
        }
        for (const name in parsed) {
            if (name.length === 5 && name !== 'model' && name.toLowerCase() === 'model') {
                return undefined;
            }
        }
        return {
            model, value, text, parsed, bytes, stream: parsed.stream,
            max_tokens: parsed.max_completion_tokens || parsed.max_tokens,
            usage: parsed.stream_options === undefined ? 'absent' : 'there',
        };
    } catch (e) {
        return undefined;   // body.js finds the words for it
    }
}

// The body with `name` as its model and `insert` before its other keys.
function edited(request, name, insert) {
    const text = request.text;
    const brace = text.indexOf('{') + 1;
    const start = request.value;
    const end = start + 2 + request.model.length;
    return text.slice(0, brace) + insert + text.slice(brace, start) + JSON.stringify(name) + text.slice(end);
}

export default { read, edited };
