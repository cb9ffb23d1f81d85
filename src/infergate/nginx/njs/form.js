// form: the model named in a multipart/form-data body (audio uploads), read strictly: what a lenient
// parser of a backend could read differently is refused.
import refuse from 'refuse.js';

// RFC 2046's boundary characters, without the space. No other parameter is accepted, so that the
// header cannot say two things.
const CONTENT_TYPE = /^multipart\/form-data; *boundary=(?:"([A-Za-z0-9'()+_,./:=?-]{1,70})"|([A-Za-z0-9'+_.-]{1,70}))$/i;
const DISPOSITION = /^content-disposition: *form-data; *name="([^"\\\r\n]*)"(?:; *filename="[^"\r\n]*")?(?:; *filename\*=[^";\r\n]*)?$/i;
const OTHER_HEADER = /^(?:content-type|content-length|content-transfer-encoding): *[^\r\n]*$/i;

// Returns { model, named, bytes, buffer, start, end, boundary } or { error, param }; see body.js.
function read(r) {
    if (r.headersIn['Content-Encoding']) {
        return refuse.bad('Compressed request bodies are not accepted; send it without Content-Encoding.');
    }
    const type = CONTENT_TYPE.exec(r.headersIn['Content-Type'] || '');
    if (!type) {
        return refuse.bad('Expected multipart/form-data with a boundary and no other parameter.');
    }
    const buffer = r.requestBuffer;
    if (!buffer) {
        return refuse.bad('The request body is empty; expected multipart/form-data.');
    }
    const boundary = type[1] || type[2];
    const delimiter = '\r\n--' + boundary;
    const result = { model: undefined, named: undefined, buffer, start: -1, end: -1, boundary, bytes: buffer.length };

    if (buffer.indexOf('--' + boundary) !== 0) {
        return refuse.bad('The multipart body does not start with its boundary.');
    }
    let at = boundary.length + 2;
    while (buffer.slice(at, at + 2).toString() === '\r\n') {
        const head = buffer.indexOf('\r\n\r\n', at);
        const end = head === -1 ? -1 : buffer.indexOf(delimiter, head + 2);
        if (end === -1) {
            return refuse.bad('The multipart body ends in the middle of a part.');
        }
        const name = partName(buffer.slice(at + 2, head).toString());
        if (name === undefined) {
            return refuse.bad('A part of the multipart body has headers this gateway does not accept.');
        }
        if (name.toLowerCase() === 'model') {
            if (name !== 'model' || result.model !== undefined) {
                return refuse.bad("The form must name 'model' once, in lower case.", 'model');
            }
            result.start = head + 4;
            result.end = end;
            result.model = buffer.slice(head + 4, end).toString();
        }
        at = end + delimiter.length;
    }
    if (buffer.slice(at, at + 2).toString() !== '--') {
        return refuse.bad('The multipart body does not end with its boundary.');
    }
    result.named = result.model;
    return result;
}

function partName(head) {
    const lines = head.split('\r\n');
    let name;
    for (let i = 0; i < lines.length; i++) {
        const disposition = DISPOSITION.exec(lines[i]);
        if (disposition && name === undefined) {
            name = disposition[1];
        } else if (disposition || !OTHER_HEADER.test(lines[i])) {
            return undefined;
        }
    }
    return name;
}

// Nothing but the model is looked at.
function problem() {
    return undefined;
}

function has() {
    return false;
}

function edited(form, name) {
    if (form.model === undefined) {
        const part = '--' + form.boundary + '\r\nContent-Disposition: form-data; name="model"\r\n\r\n' + name + '\r\n';
        return Buffer.concat([Buffer.from(part), form.buffer]);
    }
    return Buffer.concat([form.buffer.slice(0, form.start), Buffer.from(name), form.buffer.slice(form.end)]);
}

export default { read, has, problem, edited };
