// form: the model named in a multipart/form-data body (audio uploads), read strictly: what two parsers
// of backends could read differently is refused. They differ on line breaks that are no CRLF, on headers
// of parts (form_part.js), and on what stands before the first boundary and after the last.
import * as part from './form_part.js';
import * as refuse from './refuse.js';

// RFC 2046's boundary characters, without the space; one letter or digit, so that it cannot overlap itself
// and its own dashes.
const BOUNDARY = /^(?=.*[A-Za-z0-9])[A-Za-z0-9'()+_,./:=?-]{1,70}$/;
const TOKEN = /^[A-Za-z0-9'+_.-]+$/;
const CONTENT_TYPE = /^multipart\/form-data(?: *; *[a-z]+=(?:"[^"\\]*"|[^\s;,"\\]+))+$/i;
const PARAMETER = /; *([a-z]+)=(?:"([^"]*)"|([^\s;]+))/gi;
// A form of OpenAI's has about ten.
const MOST_PARTS = 100;
const LONGEST_HEAD = 4096;   // of a part

// Fields that are read besides the model: how much is asked for (tokens.js).
const READ = /^(?:max_tokens|max_completion_tokens|max_output_tokens|max_new_tokens|n|best_of)$/i;
const LONGEST_FIELD = 64;

// Returns { model, named, bytes, parsed, buffer, start, end, boundary } or { error, param }; see body.js.
// parsed: the fields of READ, as texts. start, end: where the part of the model is.
function read(r) {
    const encoded = refuse.encoded(r);
    if (encoded !== undefined) {
        return encoded;
    }
    const boundary = boundaryOf(r.headersIn['Content-Type'] || '');
    if (boundary === undefined) {
        return refuse.bad("Expected multipart/form-data with a boundary, and no other parameter than charset=utf-8.");
    }
    const buffer = r.requestBuffer;
    if (!buffer || buffer.length === 0) {   // of no body njs has a buffer that cannot be read
        return refuse.bad('The request body is empty; expected multipart/form-data.');
    }
    const form = {
        model: undefined, named: undefined, buffer, start: 0, end: 0, boundary, bytes: buffer.length, parsed: {},
    };
    // The backend sees the header as it was read, and no other parameter of it.
    r.variables.ig_content_type = 'multipart/form-data; boundary='
        + (TOKEN.test(boundary) ? boundary : '"' + boundary + '"');
    const wrong = readParts(form);
    if (wrong !== undefined) {
        return wrong;
    }
    form.named = form.model;
    return form;
}

function boundaryOf(header) {
    let found, charset, match;
    if (!CONTENT_TYPE.test(header)) {
        return undefined;
    }
    PARAMETER.lastIndex = 0;
    while ((match = PARAMETER.exec(header)) !== null) {
        const name = match[1].toLowerCase();
        const value = match[2] === undefined ? match[3] : match[2];
        if (name === 'boundary' && found === undefined) {
            found = value;
        } else if (name === 'charset' && charset === undefined && value.toLowerCase() === 'utf-8') {
            charset = value;
        } else {
            return undefined;
        }
    }
    return found !== undefined && BOUNDARY.test(found) ? found : undefined;
}

function text(buffer, from, to) {
    return buffer.slice(from, to).toString();
}

// Fills the form; { error, param } if it is none that every parser reads as we do. Wherever
// '--boundary' stands, it has to be a line of its own, ended by CRLF, so that nobody finds a part where
// we find none.
function readParts(form) {
    const buffer = form.buffer;
    const dashed = '--' + form.boundary;
    const first = text(buffer, 0, 2) === '\r\n' ? 2 : 0;   // old .NET's
    if (text(buffer, first, first + dashed.length) !== dashed) {
        return refuse.bad('The multipart body does not start with its boundary.');
    }
    let parts = 0;
    let at = first + dashed.length;
    while (text(buffer, at, at + 2) === '\r\n') {
        const start = at + 2;
        const head = buffer.indexOf('\r\n\r\n', start);
        const next = head === -1 ? -1 : buffer.indexOf(dashed, start);
        if (next === -1) {
            return refuse.bad('The multipart body ends in the middle of a part.');
        }
        if (next < head + 6 || text(buffer, next - 2, next) !== '\r\n') {
            return refuse.bad('The boundary of the multipart body stands where no part ends.');
        }
        if (++parts > MOST_PARTS || head - start > LONGEST_HEAD) {
            return refuse.bad('The multipart body has too many parts, or too long headers of one: '
                + MOST_PARTS + ' and ' + LONGEST_HEAD + ' bytes are accepted.');
        }
        const wrong = readPart(form, start, head, next - 2);
        if (wrong !== undefined) {
            return wrong;
        }
        at = next + dashed.length;
    }
    const end = text(buffer, at, at + 4);
    return (end === '--' || end === '--\r\n') && at + end.length === buffer.length ? undefined
        : refuse.bad('The multipart body does not end with its boundary.');
}

// One part: its headers are [start, head), its value [head + 4, end).
function readPart(form, start, head, end) {
    const found = part.read(text(form.buffer, start, head), end - head - 4);
    if (found.error) {
        return found;
    }
    const name = found.name;
    if (found.isModel) {
        const value = text(form.buffer, head + 4, end);
        if (name !== 'model' || form.model !== undefined) {
            return refuse.bad("The form must name 'model' once, in lower case.", 'model');
        }
        if (!part.isPlain(found, value)) {
            return refuse.bad("The form's 'model' must be plain text in UTF-8, without a file name.", 'model');
        }
        form.model = value;
        form.start = start;
        form.end = end;
    } else if (READ.test(name) && !found.isFile) {
        if (name !== name.toLowerCase() || form.parsed[name] !== undefined || end - head - 4 > LONGEST_FIELD) {
            return refuse.bad("The form must have '" + name.toLowerCase() + "' once, in lower case, and short.", name);
        }
        form.parsed[name] = text(form.buffer, head + 4, end);
    }
    return undefined;
}

// Nothing but the model and the numbers of tokens is looked at.
function problem() {
    return undefined;
}

function has() {
    return false;
}

// The form with `name` as its model: the whole part is written anew, with its headers.
function edited(form, name) {
    const model = 'Content-Disposition: form-data; name="model"\r\n\r\n' + name;
    if (form.model === undefined) {
        return Buffer.concat([Buffer.from('--' + form.boundary + '\r\n' + model + '\r\n'), form.buffer]);
    }
    return Buffer.concat([form.buffer.slice(0, form.start), Buffer.from(model), form.buffer.slice(form.end)]);
}

export { read, has, problem, edited };
