// plain: the short way for most request bodies: at most 4 kB, no backslash, and `"model"` once in any
// case. Inside a string a quote would be escaped, so that one is a key or a whole value; the
// parsed object having the key, it is the key, and no other spelling of it can be in there. Three
// searches, 1 µs. Whatever is not plain goes the careful way, body.js.
const LARGEST = 4096;

// Returns { model, named, text, key }, key being where `"model"` stands; undefined if the body is
// not plain.
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
        const model = JSON.parse(text).model;
        if (typeof model === 'string' && model !== '' && text.startsWith('"model"', key)) {
            return { model, named: model, text, key };
        }
    } catch (e) {
        // body.js finds the words for it
    }
    return undefined;
}

// The body with `name` as its model. The value is the next string after the key.
function withModel(body, name) {
    const text = body.text;
    const start = text.indexOf('"', body.key + 7);
    const end = start + 2 + body.model.length;
    return text.slice(0, start) + JSON.stringify(name) + text.slice(end);
}

export default { read, withModel };
