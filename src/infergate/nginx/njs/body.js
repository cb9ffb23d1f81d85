// body: which model does a request body name, and how is another name put in its place?
//
// Whatever the backend would read must be what was authorised. Parsers differ on duplicate keys
// (first or last wins) and on case (Go matches "Model"), so a body that two parsers could read
// differently is refused instead of guessed at. Most bodies need less care: plain.js.
import check from 'check.js';
import refuse from 'refuse.js';

const WANTED = 'model';

function isSpace(code) {
    return code === 0x20 || code === 0x0a || code === 0x0d || code === 0x09;
}

function skipSpace(text, at) {
    while (isSpace(text.charCodeAt(at))) {
        at++;
    }
    return at;
}

// Index behind the string literal that opens at `at`.
function endOfString(text, at) {
    for (let end = text.indexOf('"', at + 1); ; end = text.indexOf('"', end + 1)) {
        let backslashes = 0;
        while (text.charCodeAt(end - 1 - backslashes) === 0x5c) {
            backslashes++;
        }
        if (backslashes % 2 === 0) {
            return end + 1;
        }
    }
}

// Positions [start, end) of the values of every top-level key that spells `wanted` in any case and
// with any escapes. Only for text that JSON.parse has accepted. It hops from quote to quote, so it
// costs by the number of strings and not by their length. It runs when the model is to be replaced,
// and for bodies in which the word stands more than once.
function topLevelValues(text, wanted) {
    const found = [];
    let depth = 0;
    let at = 0;

    while (at < text.length) {
        const quote = text.indexOf('"', at);
        const stop = quote === -1 ? text.length : quote;
        for (; at < stop; at++) {
            const code = text.charCodeAt(at);
            if (code === 0x7b || code === 0x5b) {
                depth++;
            } else if (code === 0x7d || code === 0x5d) {
                depth--;
            }
        }
        if (quote === -1) {
            break;
        }
        const end = endOfString(text, quote);
        const colon = skipSpace(text, end);
        if (depth === 1 && text.charCodeAt(colon) === 0x3a) {
            // A key is at most 6 characters a letter long when every letter is escaped.
            if (end - quote - 2 <= wanted.length * 6
                && JSON.parse(text.slice(quote, end)).toLowerCase() === wanted) {
                const start = skipSpace(text, colon + 1);
                found.push([start, text.charCodeAt(start) === 0x22 ? endOfString(text, start) : start]);
            }
            at = colon + 1;
        } else {
            at = end;
        }
    }
    return found;
}

// Whether the text has `"model"` once, given that the parsed object has the key. Inside a string a
// quote is escaped, so the literal is a key or a whole value; being the only one, with no escape that
// could spell another (\u006… and \u004… are the letters of the word), it is the key.
//
// Searching a string costs 2.3 µs a kB, searching a buffer for one byte 0.4.
function isOnce(text, buffer) {
    const key = text.indexOf('"model"');
    return key !== -1 && text.indexOf('"model"', key + 7) === -1
        && (buffer.indexOf(0x5c) === -1
            || (text.indexOf('\\u006') === -1 && text.indexOf('\\u004') === -1));
}

// A top-level key that a backend which does not tell upper from lower case would take for the model.
function otherCase(body) {
    for (const key in body) {
        if (key.length === 5 && key !== WANTED && key.toLowerCase() === WANTED) {
            return key;
        }
    }
    return undefined;
}

// The JSON body of a request to an inference endpoint. Returns { error, param } or
//   model       what the body says; undefined if it names none
//   named       the model asked for; Ollama reads the older `name` of /api/show without a `model`
//   text        the body; parsed: as an object; bytes: its length
//   stream, max_tokens   as the body says
//   usage       'absent' if it has no stream_options
//   empty       the body is {}
function read(r) {
    const encoding = r.headersIn['Content-Encoding'];
    if (encoding !== undefined && encoding.toLowerCase() !== 'identity') {
        return refuse.bad('Compressed request bodies are not accepted; send it without Content-Encoding.');
    }
    const text = r.requestText;
    if (!text) {
        return refuse.bad('The request body is empty; expected a JSON object.');
    }
    let body;
    try {
        body = JSON.parse(text);
    } catch (e) {
        return refuse.bad(e.message.startsWith('Nested too deep')
            ? 'The request body is nested too deeply: 31 levels are accepted.'
            : 'The request body is not valid JSON: ' + e.message + '.');
    }
    if (body === null || typeof body !== 'object' || Array.isArray(body)) {
        return refuse.bad('The request body must be a JSON object.');
    }
    // A byte that is no UTF-8 became U+FFFD in the text. Text that is all ASCII has none.
    const buffer = r.requestBuffer;
    if (Buffer.byteLength(text) !== text.length && text.indexOf('\ufffd') !== -1 && !isUtf8(buffer)) {
        return refuse.bad('The request body is not valid UTF-8.');
    }

    const model = body.model;
    const request = {
        model, named: model, text, parsed: body, bytes: buffer.length, stream: body.stream,
        max_tokens: body.max_completion_tokens || body.max_tokens,
        usage: body.stream_options === undefined ? 'absent' : 'there',
        empty: Object.keys(body).length === 0,
    };
    const other = otherCase(body);
    if (other !== undefined) {
        return refuse.bad("Write '" + WANTED + "' in lower case, not '" + other + "'.", WANTED);
    }
    if (model === undefined) {
        request.named = r.uri === '/api/show' && typeof body.name === 'string' ? body.name : undefined;
        return request;
    }
    if (typeof model !== 'string' || model === '') {
        return refuse.bad("'" + WANTED + "' must be a non-empty string.", WANTED);
    }
    if (!isOnce(text, buffer) && topLevelValues(text, WANTED).length !== 1) {
        return refuse.bad("'" + WANTED + "' stands in the request body more than once.", WANTED);
    }
    return request;
}

function has(request, key) {
    return request.parsed[key] !== undefined;
}

function problem(uri, request, how) {
    return check.problem(uri, request.parsed, how);
}

function isUtf8(buffer) {
    try {
        new TextDecoder('utf-8', { fatal: true }).decode(buffer);
        return true;
    } catch (e) {
        return false;
    }
}

// The body with `name` as its model and `insert` before its other keys: a splice, because
// re-serialising costs twice the parsing and changes numbers a client meant exactly.
function edited(request, name, insert) {
    const text = request.text;
    const brace = text.indexOf('{') + 1;
    if (request.model === undefined) {
        let fields = insert + '"model":' + JSON.stringify(name) + ',';
        fields = request.empty ? fields.slice(0, -1) : fields;
        return text.slice(0, brace) + fields + text.slice(brace);
    }
    const value = topLevelValues(text, WANTED)[0];
    return text.slice(0, brace) + insert + text.slice(brace, value[0]) + JSON.stringify(name) + text.slice(value[1]);
}

export default { read, has, problem, edited };
