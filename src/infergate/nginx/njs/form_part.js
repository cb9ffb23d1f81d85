// form_part: the headers of one part of a form, and which field it is. Parsers differ on names that are
// escaped, encoded, given twice or stand in a file's name; on encodings; on a Content-Length.
import * as refuse from './refuse.js';

// "quoted", where \" and \\ may stand, or a token. What Ktor and .NET leave unquoted is a token.
const DISPOSITION = /^content-disposition: *form-data((?:; *(?:name|filename|filename\*)=(?:"(?:[^"\\]|\\.)*"|[^\s;,"\\=]+))+)$/;
const PARAMETER = /; *([a-z]+\*?)=(?:"((?:[^"\\]|\\.)*)"|([^\s;"]+))/g;
const FIELD = /^[A-Za-z0-9_.-]+(?:\[[A-Za-z0-9_.-]*\])*$/;
const LONGEST_NAME = 64;
const FILENAME_EXTENDED = /^utf-8'[a-z-]*'[A-Za-z0-9!#$&+.^_`|~%-]*$/i;   // RFC 5987
// A parser that does not know \" or that splits at semicolons finds a name in such a file's name, and one
// that looks through all headers in such a type.
const NAME_INSIDE = /name *\*? *=/i;
const CONTROL = /[\x00-\x1f\x7f]/;

const ENCODED = /^(?:7bit|8bit|binary)$/i;         // as it is; others are undone by some
const NESTED = /^(?:multipart|message)\//i;        // read on by some
const PLAIN = /^text\/plain(?: *; *charset="?(utf-8|us-ascii|iso-8859-1)"?)?$/i;
const KNOWN = ' content-disposition content-type content-length content-transfer-encoding content-id ';

// { name, isFile, isModel, type } or { error, param }. length: of the value. isModel: any parser could take
// it for the model.
function read(head, length) {
    const found = { name: undefined, isFile: false, isModel: false, type: '' };
    const lines = head.split('\r\n');
    let seen = ' ';
    for (let i = 0; i < lines.length; i++) {
        const line = lines[i];
        const colon = line.indexOf(':');
        const header = line.slice(0, colon).toLowerCase();
        const value = line.slice(colon + 1).trim();
        if (colon < 1 || CONTROL.test(line) || KNOWN.indexOf(' ' + header + ' ') === -1 || seen.indexOf(' ' + header + ' ') !== -1) {
            return unknown(header);
        }
        seen += header + ' ';
        if (header === 'content-disposition') {
            if (!disposed(found, header + line.slice(colon))) {
                return unknown(header);
            }
        } else if (header === 'content-type') {
            found.type = value;
        }
        if (isAmbiguous(header, value, length)) {
            return unknown(header);
        }
    }
    return found.name === undefined ? unknown('content-disposition') : found;
}

// Whether parsers could read such a header's value in different ways.
function isAmbiguous(header, value, length) {
    switch (header) {
    case 'content-type': return NESTED.test(value) || NAME_INSIDE.test(value);
    case 'content-length': return value !== length + '';
    case 'content-transfer-encoding': return !ENCODED.test(value);
    default: return false;
    }
}

// Reads the names in a Content-Disposition; false if it is none that all read alike.
function disposed(found, line) {
    const all = DISPOSITION.exec(line);
    let match;
    let seen = ' ';
    if (!all) {
        return false;
    }
    PARAMETER.lastIndex = 0;
    while ((match = PARAMETER.exec(all[1])) !== null) {
        const value = match[2] === undefined ? match[3] : match[2];
        if (seen.indexOf(' ' + match[1] + ' ') !== -1) {
            return false;
        }
        seen += match[1] + ' ';
        if (match[1] === 'name') {
            if (!FIELD.test(value) || value.length > LONGEST_NAME || value.toLowerCase() === '_charset_') {
                return false;
            }
            found.name = value;
            found.isModel = value.split(/[[.]/)[0].toLowerCase() === 'model';
        } else {
            found.isFile = true;
            if (NAME_INSIDE.test(value) || (match[1] === 'filename*' && !FILENAME_EXTENDED.test(value))) {
                return false;
            }
        }
    }
    return true;
}

// Whether every parser reads this value of the model as it is.
function isPlain(found, value) {
    const type = PLAIN.exec(found.type || 'text/plain');
    const isAscii = Buffer.byteLength(value) === value.length;
    return !found.isFile && type !== null && value !== '' && !CONTROL.test(value) && value.indexOf('\ufffd') === -1
        && (isAscii || type[1] === undefined || type[1].toLowerCase() === 'utf-8');
}

function unknown(header) {
    return refuse.bad("A part of the multipart body has a header '" + header.slice(0, 40)
        + "' that this gateway does not accept.");
}

export { read, isPlain };
