// password: beside nginx's own check of passwords, for auth: basic.
//
// nginx runs crypt(3) for each request, 3 to 200 ms in which a worker does nothing else, and a page is
// made of hundreds of requests. So a password that was right is remembered for five minutes, by a
// salted hash in ig_logins, and one that was not is taken half a time a second for one name from one
// client (access.conf).
import crypto from 'crypto';
import * as memory from './memory.js';

// The name under which ig_logins remembers what the client sent; undefined without a name and password.
function login(r) {
    const sent = r.headersIn['Authorization'];
    if (sent === undefined || sent.slice(0, 6).toLowerCase() !== 'basic ') {
        return undefined;
    }
    const zone = ngx.shared.ig_logins;
    let salt = zone.get('');
    if (salt === undefined) {
        zone.add('', r.variables.request_id);   // 16 random bytes
        salt = zone.get('');
    }
    return crypto.createHmac('sha256', salt).update(r.variables.ig_users + ' ' + sent).digest('hex');
}

function isProven(r) {
    const name = login(r);
    return name !== undefined && ngx.shared.ig_logins.get(name) !== undefined;
}

// The variable $ig_realm: what nginx asks a password for, or off.
function realm(r) {
    return isProven(r) ? 'off' : r.variables.ig_service;
}

// { name, password } as bytes in hex; undefined unless both were sent as RFC 7617 wants it. nginx is
// more generous: it stops at "=" and at a NUL, and what comes after counts for nothing.
function credentials(r) {
    const sent = /^basic +([A-Za-z0-9+/]+={0,2})$/i.exec(r.headersIn['Authorization'] || '');
    if (sent === null || sent[1].length % 4 !== 0) {
        return undefined;
    }
    const bytes = Buffer.from(sent[1], 'base64');
    const colon = bytes.indexOf(':');
    const hasControls = bytes.some((byte) => byte < 32 || byte === 127);
    return colon === -1 || hasControls ? undefined
        : { name: bytes.toString('hex', 0, colon), password: bytes.toString('hex', colon + 1) };
}

// The variable $ig_unproven: a name whose passwords are counted; none where none was sent.
function unproven(r) {
    const given = isProven(r) ? undefined : credentials(r);
    return given === undefined ? '' : crypto.createHash('md5').update(given.name).digest('hex');
}

// The variable $ig_known_users: the file of those who may come in, or an empty one for what no user
// could have sent.
function knownUsers(r) {
    const given = credentials(r);
    const longest = Number(r.variables.ig_longest_password) || Infinity;
    return given === undefined || given.password.length / 2 > longest ? '/dev/null' : r.variables.ig_users_file;
}

// The variable $ig_user, which nginx asks for when it writes the request to the service: it found the
// password right, or there would be none.
function user(r) {
    const name = login(r);
    if (name !== undefined) {
        memory.perhaps(() => ngx.shared.ig_logins.add(name, '1'));
    }
    return r.variables.remote_user;
}

export { realm, unproven, knownUsers, user };
export { refuse, unclear } from './any_service.js';
