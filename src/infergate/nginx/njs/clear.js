// clear: whether the path of a request to a web service can be read in one way only, by us and by whoever
// reads it behind us; how it is sent on; and of whom a kept answer is.
//
// `..;/` is nothing to nginx and the folder above to Tomcat, `..%5c` to Windows, `%252e%252e/` to who
// decodes twice.
import crypto from 'crypto';

// What nginx encodes in a path that it puts together (ngx_escape_uri).
const ESCAPED = ' "#%<>?\\^`{|}';
// Where clients of a service say who they are, beside Authorization, which is never kept.
const SAID = ['Cookie', 'x-api-key', 'api-key', 'x-auth-token', 'private-token'];

function isAmbiguous(path, merges) {
    if (path.indexOf('#') !== -1 || path.indexOf('\ufffd') !== -1 || (!merges && path.indexOf('//') !== -1)) {
        return true;
    }
    const once = path.replace(/%(?:25)+/g, '%');   // however often it was encoded
    // UTF-8 that is longer than it has to be, as some decoders let it be.
    const overlong = /%c[01]|%e0%[89]|%f0%8|%f8%8|%fc%8/i;
    if (overlong.test(once)) {
        return true;
    }
    const text = once.replace(/(?:%[\da-fA-F]{2})+/g, (bytes) =>
        Buffer.from(bytes.replace(/%/g, ''), 'hex').toString());
    // Control characters and backslashes, and what becomes a backslash where Unicode is simplified.
    const never = /[\x00-\x1f\x7f\\\ufe68\uff3c\u2216]/;
    // A folder's own name or that above, or none, as it is and before parameters (RFC 3986, 3.3).
    const dots = /^ *(?:(?:[.\uff0e\u2024\ufe52]{1,2}|\u2025) *(?:;|$)|;)/;
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
    const said = SAID.map((name, at) => at === 0 || !key ? r.headersIn[name] : undefined);
    const who = [key, variables.ig_users ? variables.remote_user : '', variables.ig_told].concat(said)
        .map((each) => each || '');
    return who.join('') === '' ? ''
        : crypto.createHash('sha256').update(who.join('\n')).digest('hex');
}

export default { unclear, path, visitor };
