// tier: hands an admitted request to the API tier (docs/api.md), in Python. The caller's key stays here: a token
// stands for it (lent.js), which nobody can guess, and which ends with the request (handed.js).
import * as contract from './contract.js';
import * as credentials from './credentials.js';

const TOKEN_BYTES = 32;

// Whether the tier speaks this dialect to backends that do not.
function translates(uri) {
    return contract.TRANSLATED.indexOf(' ' + uri + ' ') !== -1;
}

function unpacks(r) {
    return contract.CODINGS.indexOf(' ' + (r.variables.http_content_encoding || '').toLowerCase() + ' ') !== -1;
}

// why: one of contract/tier.py's.
function handOver(r, why) {
    lend(r);
    r.variables.ig_handed = why;
    r.internalRedirect(settings.keeps_responses && why === contract.HANDED_DIALECT && r.uri === '/v1/responses'
        ? '@responses' : '@tier');
}

// Throws where shared memory has no room.
function lend(r) {
    const variables = r.variables;
    const bytes = (/** @type {any} */ (globalThis)).crypto.getRandomValues(new Uint8Array(TOKEN_BYTES));
    const token = contract.TOKEN_PREFIX + Buffer.from(bytes).toString('hex');
    const entry = [];
    entry[contract.LENT_KEY] = credentials.entry(r);
    entry[contract.LENT_PARENT] = variables.ig_request_id;
    entry[contract.LENT_CLIENT] = variables.remote_addr;
    ngx.shared.ig_lent.set(token, JSON.stringify(entry));
    variables.ig_token = token;
}

export { translates, unpacks, handOver, lend };
