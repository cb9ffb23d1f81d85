// clear: whether the path of a request to a web service can be read in one way only, by us and by whoever
// reads it behind us; how it is sent on; and of whom a kept answer is.
//
// `..;/` is nothing to nginx and the folder above to Tomcat, `..%5c` to Windows, `%252e%252e/` to who
// decodes twice.
import crypto from 'crypto';

// What nginx encodes in a path that it puts together (ngx_escape_uri).
const ESCAPED = ' "#%<>?\\^`{|}';
// Dots and rows of dots, and what becomes one where Unicode is simplified (NFKC).
const DOTS = '.\uff0e\u2024\ufe52\u2025\u2026\ufe19\ufe30';
// Spaces, and characters that some file systems drop.
const UNSEEN = ' \u00a0\u00ad\u034f\u1680\u180e\u2000-\u200f\u2028-\u202f\u205f-\u206f\u3000\ufe00-\ufe0f\ufeff';
// However often a path is decoded; what goes on after that is nobody's address.
const MOST_LAYERS = 8;
// What a client may say without saying who it is: the rest tells kept answers apart. Authorization is never
// kept, or for us.
const IMPERSONAL = ' accept accept-charset accept-encoding accept-language access-control-request-headers'
    + ' access-control-request-method authorization baggage cache-control cdn-loop connection content-length content-type'
    + ' cf-connecting-ip cf-ipcountry cf-ray cf-visitor dnt expect forwarded from host if-match if-modified-since'
    + ' if-none-match if-range if-unmodified-since keep-alive max-forwards origin pragma priority purpose range referer'
    + ' save-data te traceparent tracestate true-client-ip upgrade upgrade-insecure-requests user-agent via x-client-ip'
    + ' x-correlation-id x-forwarded x-forwarded-for x-forwarded-host x-forwarded-port x-forwarded-prefix'
    + ' x-forwarded-proto x-forwarded-scheme x-forwarded-server x-real-ip x-request-id x-requested-with ';

// The bytes with one layer of %XX taken off.
function decoded(bytes) {
    const text = [];
    for (let i = 0; i < bytes.length; i++) {
        const two = bytes[i] === 0x25 ? String.fromCharCode(bytes[i + 1], bytes[i + 2]) : '';
        if (two !== '' && /^[\da-fA-F]{2}$/.test(two)) {
            text.push(parseInt(two, 16));
            i += 2;
        } else {
            text.push(bytes[i]);
        }
    }
    return text;
}

function isAmbiguous(path, merges) {
    if (path.indexOf('#') !== -1 || path.indexOf('\ufffd') !== -1 || (!merges && path.indexOf('//') !== -1)) {
        return true;
    }
    /** @type {Buffer | number[]} */
    let bytes = Buffer.from(path);
    for (let layers = 0, length = 0; bytes.length !== length; layers++) {   // "%25%32%65" is a dot, too
        if (layers === MOST_LAYERS) {
            return true;
        }
        length = bytes.length;
        bytes = decoded(bytes);
    }
    // UTF-8 that is longer than it has to be, as some decoders let it be.
    const overlong = /(?:^|,)(?:19[23]|224,1(?:2[89]|[3-5]\d)|240,1(?:2[89]|3\d|4[0-3])|248,1(?:2[89]|3[0-5])|252,1(?:2[89]|3[01]))/;
    if (overlong.test(bytes.join(','))) {
        return true;
    }
    const text = Buffer.from(bytes).toString();
    // Control characters and backslashes, and what becomes a backslash where Unicode is simplified; the
    // escapes of IIS.
    const never = /[\x00-\x1f\x7f\\\ufe68\uff3c\u2216]|%u[\da-f]{4}/i;
    // A folder's own name or that above, or none, as it is and before parameters (RFC 3986, 3.3). Windows
    // drops dots and spaces at the end of a name, other file systems what has no width.
    const dots = new RegExp('^[' + UNSEEN + ']*(?:[' + DOTS + '][' + UNSEEN + DOTS + ']*(?:;|$)|;)');
    return never.test(text) || text.split(/[\/\uff0f\u2215\u2044]/).some((segment) => dots.test(segment));
}

// The variable $ig_unclear, which is asked for where there is something odd in the address: '' or why it
// is refused; the refusal is in $ig_refusal. With auth: forward the login judges the path as it is sent,
// so it must not have empty segments either.
function unclear(r) {
    const variables = r.variables;
    if (!isAmbiguous(variables.request_uri.split('?')[0], !variables.ig_login)) {
        return '';
    }
    variables.ig_refusal = JSON.stringify({ status: 400, code: 'ambiguous_path',
        message: 'The path of this address could be read in two ways: as it is, and as another one.', param: null });
    return 'ambiguous_path';
}

// The variable $ig_path: the path as nginx sends it on where it takes a prefix off, before that.
function path(r) {
    const bytes = r.rawVariables.uri;
    if (r.variables.request_uri.split('?')[0].indexOf('%') === -1) {
        return bytes;
    }
    let text = '';
    for (let i = 0; i < bytes.length; i++) {
        const character = String.fromCharCode(bytes[i]);
        text += bytes[i] < 0x21 || bytes[i] > 0x7e || ESCAPED.indexOf(character) !== -1
            ? '%' + (bytes[i] < 16 ? '0' : '') + bytes[i].toString(16).toUpperCase() : character;
    }
    return text;
}

// The variable $ig_visitor: tells apart whom a service could tell apart, '' for who says nothing.
function visitor(r) {
    const variables = r.variables;
    const key = variables.ig_key;
    const who = [key, variables.ig_users ? variables.remote_user : '', variables.ig_told].map((each) => each || '');
    let isSomebody = who.join('') !== '';
    r.rawHeadersIn.forEach((header) => {
        const name = header[0].toLowerCase();
        const isOurs = key && settings.key_headers.indexOf(' ' + name + ' ') !== -1;
        if (!isOurs && !name.startsWith('sec-') && IMPERSONAL.indexOf(' ' + name + ' ') === -1) {
            isSomebody = true;
            who.push(name + ': ' + header[1]);
        }
    });
    return isSomebody ? crypto.createHash('sha256').update(who.join('\n')).digest('hex') : '';
}

export { unclear, path, visitor };
