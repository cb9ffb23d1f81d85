// scan: a large JSON body, without the long strings in it: a picture in base64, a document. It hops from
// quote to quote and leaves out what is long between two of them; what is left is small and is read as
// plain.js reads a body. So it costs by the number of strings and not by their length: at 1 MB
// JSON.parse takes 2 to 4 ms, this a tenth.
//
// It is exact: a long string is no name that decides anything, and everything around it is parsed. What is in
// the string is not looked at, so a control character or bytes that are no UTF-8 pass there as they came:
// njs takes 65 instructions for each byte that it makes text of, which would make a body of 20 kB cost four
// times as much. A body of many short strings is quicker to parse as it is, and one with a long key is
// read whole; read gives up on them, and body.js takes over.
import * as plain from './plain.js';

const SMALLEST = 4096;
// Searching a megabyte for a byte takes 0.4 ms, for a string of one character 2.1 ms.
const QUOTE = 0x22, BACKSLASH = 0x5c;
// A longer string is left out.
const LONG = 256;
// A quote costs a hop about as much as parsing 200 bytes.
const BYTES_PER_HOP = 200, FREE_HOPS = 64;
// Stands for a string that was left out, with its number.
const MARK = '@';
const BEGINNING = 40;

function isEscaped(buffer, quote) {
    let first = quote;
    while (buffer[first - 1] === BACKSLASH) {
        first--;
    }
    return (quote - first) % 2 === 1;
}

function isKey(buffer, at) {
    while (buffer[at] === 0x20 || (buffer[at] >= 0x09 && buffer[at] <= 0x0d)) {
        at++;
    }
    return buffer[at] === 0x3a;
}

// As body.read, and `buffer`, the whole of it; `cuts`, the strings that `text` and `parsed` have marks
// for: [start, end, place of the mark in the text]; `whole`, a replacer (of JSON.stringify) that puts them
// back. Undefined for a body that is small, or better parsed as it is, or not right.
function read(r) {
    const buffer = r.requestBuffer;
    return buffer && buffer.length >= SMALLEST && !r.variables.http_content_encoding ? of(buffer) : undefined;
}

// The same of a body.
function of(buffer) {
    const cuts = [];
    let hops = FREE_HOPS + buffer.length / BYTES_PER_HOP;
    let text = '';
    let from = 0;
    let opened = 0;   // where the string starts that the quote is in or ends; 0 outside of any
    for (let quote = buffer.indexOf(QUOTE); quote !== -1; quote = buffer.indexOf(QUOTE, quote + 1)) {
        if (--hops < 0) {
            return undefined;
        }
        if (opened === 0) {
            opened = quote + 1;
        } else if (buffer[quote - 1] !== BACKSLASH || !isEscaped(buffer, quote)) {
            if (quote - opened > LONG) {
                if (isKey(buffer, quote + 1)) {   // of nobody's API
                    return undefined;
                }
                text += buffer.slice(from, opened).toString();
                cuts.push([opened, quote, text.length]);
                text += MARK + (cuts.length - 1);
                from = quote;
            }
            opened = 0;
        }
    }
    text += buffer.slice(from).toString();
    const request = plain.look(text, buffer.length);
    if (request === undefined || request.model[0] === MARK) {
        return undefined;
    }
    request.named = request.model;
    request.buffer = buffer;
    request.cuts = cuts;
    request.whole = (key, value) => whole(buffer, cuts, value);
    return request;
}

function whole(buffer, cuts, value) {
    const cut = typeof value === 'string' && value[0] === MARK ? cuts[value.slice(1)] : undefined;
    if (cut === undefined) {
        return value;
    }
    const text = buffer.slice(cut[0] - 1, cut[1] + 1).toString();
    try {
        return JSON.parse(text);
    } catch (e) {
        return text;   // no JSON: the backend says so
    }
}

// How a text begins: one that was left out is not made text of for that.
function beginning(request, text) {
    const cut = text[0] === MARK ? request.cuts[text.slice(1)] : undefined;
    return cut === undefined ? text : request.buffer.slice(cut[0], cut[0] + BEGINNING).toString();
}

// Where a character of the text stands in the buffer.
function offset(request, at) {
    let bytes = Buffer.byteLength(request.text.slice(0, at));
    request.cuts.forEach((cut, i) => {
        bytes += cut[2] < at ? cut[1] - cut[0] - (MARK + i).length : 0;
    });
    return bytes;
}

// The body with `name` as its model, `insert` before its other keys, and request.splices put in
// their places.
function edited(request, name, insert) {
    const buffer = request.buffer;
    const brace = buffer.indexOf(0x7b) + 1;
    const start = offset(request, request.value);
    const end = start + Buffer.byteLength(request.model) + 2;
    const model = Buffer.from(JSON.stringify(name));
    const pieces = [buffer.slice(0, brace), Buffer.from(insert)];
    if (request.splices === undefined || request.splices.length === 0) {
        pieces.push(buffer.slice(brace, start), model, buffer.slice(end));
        return Buffer.concat(pieces);
    }
    const splices = request.splices.map((each) =>
        [offset(request, each[0]), offset(request, each[1]), Buffer.from(each[2])]);
    splices.push([start, end, model]);
    splices.sort((one, other) => one[0] - other[0]);
    let at = brace;
    splices.forEach((each) => {
        pieces.push(buffer.slice(at, each[0]), each[2]);
        at = each[1];
    });
    pieces.push(buffer.slice(at));
    return Buffer.concat(pieces);
}

export { read, of, beginning, offset, edited };
