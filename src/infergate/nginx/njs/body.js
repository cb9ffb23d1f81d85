// body: which model does a request body name, and how is another name put in its place?
//
// Whatever the backend would read must be what was authorised. Parsers differ on duplicate keys
// (first or last wins) and on case (Go matches "Model"), so a body that two parsers could read
// differently is refused instead of guessed at. Most bodies need less care: plain.js.
import * as check from './check.js';
import * as members from './members.js';
import * as refuse from './refuse.js';

const WANTED = 'model';
// See plain.js.
const NUMBER = /(?<=[\s:,\x5b])(?:-?0\d|[-+]?\.|\+|-I)[-+.\deEInfity]*\s*[,\]}]|(?<=\d)\.(?:[eE][-+]?\d+)?\s*[,\]}]/;

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

// A NUL ends a text in C: a parser that copies keys there reads another one.
function hasNul(body) {
    for (const key in body) {
        if (key.indexOf('\0') !== -1) {
            return true;
        }
    }
    return false;
}

// The JSON body of a request to an inference endpoint. Returns { error, param } or
//   model       what the body says; undefined if it names none
//   named       the model asked for; Ollama reads the older `name` of /api/show without a `model`
//   text        the body; parsed: as an object; bytes: its length
//   stream      as the body says
//   empty       the body is {}
function read(r) {
    const encoded = refuse.encoded(r);
    if (encoded !== undefined) {
        return encoded;
    }
    const text = r.requestText;
    if (!text) {
        return refuse.bad('The request body is empty; expected a JSON object.');
    }
    // A reader may ignore a byte order mark (RFC 8259, 8.1). Windows' programs write one; not all engines read it.
    return of(r.uri, text[0] === '\ufeff' ? text.slice(1) : text, r.requestBuffer);
}

// The same of a text and its bytes.
function of(uri, text, buffer) {
    let body;
    try {
        body = JSON.parse(text);
    } catch (e) {
        return unparsed(e);
    }
    if (body === null || typeof body !== 'object' || Array.isArray(body)) {
        return refuse.bad('The request body must be a JSON object.');
    }
    if (isBroken(text, buffer)) {
        return refuse.bad('The request body is not valid UTF-8.');
    }

    const model = body.model;
    const request = {
        model, named: model, text, parsed: body, bytes: buffer.length, stream: body.stream,
        empty: Object.keys(body).length === 0,
    };
    const wrong = ambiguous(text, body);
    if (wrong !== undefined) {
        return wrong;
    }
    if (model === undefined) {
        request.named = uri === '/api/show' && typeof body.name === 'string' ? body.name : undefined;
        return request;
    }
    if (typeof model !== 'string' || model === '') {
        return refuse.bad("'" + WANTED + "' must be a non-empty string.", WANTED);
    }
    if (!isOnce(text, buffer) && members.find(text, WANTED).length !== 1) {
        return refuse.bad("'" + WANTED + "' stands in the request body more than once.", WANTED);
    }
    return request;
}

function unparsed(e) {
    return refuse.bad(e.message.startsWith('Nested too deep')
        ? 'The request body is nested too deeply: 31 levels are accepted.'
        : 'The request body is not valid JSON: ' + e.message + '.');
}

// The refusal of an object that another parser could read otherwise.
function ambiguous(text, body) {
    if (NUMBER.test(text) && members.hasNoNumber(text)) {
        return refuse.bad('The request body is not valid JSON: a number has leading zeros, a plus, no digit beside its point, or is infinite.');
    }
    if (text.indexOf('\\u0000') !== -1 && hasNul(body)) {
        return refuse.bad('A key of the request body has a NUL.');
    }
    const other = otherCase(body);
    return other === undefined ? undefined
        : refuse.bad("Write '" + WANTED + "' in lower case, not '" + other + "'.", WANTED);
}

function has(request, key) {
    return request.parsed[key] !== undefined;
}

function problem(uri, request, how) {
    return check.problem(uri, request.parsed, how);
}

// A byte that is no UTF-8 became U+FFFD in the text. Text that is all ASCII has none.
function isBroken(text, buffer) {
    return Buffer.byteLength(text) !== text.length && text.indexOf('\ufffd') !== -1 && !isUtf8(buffer);
}

function isUtf8(buffer) {
    try {
        new TextDecoder('utf-8', { fatal: true }).decode(buffer);
        return true;
    } catch (e) {
        return false;
    }
}

// The body with `name` as its model, `insert` before its other keys, and request.splices put in
// their places: splices, because re-serialising costs twice the parsing and changes numbers a client
// meant exactly.
function edited(request, name, insert) {
    const text = request.text;
    const brace = text.indexOf('{') + 1;
    let before = insert;
    const splices = request.splices === undefined ? [] : request.splices.slice();
    if (request.model === undefined) {
        before += '"model":' + JSON.stringify(name) + ',';
        before = request.empty ? before.slice(0, -1) : before;
    } else {
        const value = members.find(text, WANTED)[0];
        splices.push([value.start, value.end, JSON.stringify(name)]);
    }
    splices.sort((one, other) => one[0] - other[0]);
    let result = text.slice(0, brace) + before;
    let at = brace;
    splices.forEach((each) => {
        result += text.slice(at, each[0]) + each[2];
        at = each[1];
    });
    return result + text.slice(at);
}

export { read, of, has, problem, edited };
