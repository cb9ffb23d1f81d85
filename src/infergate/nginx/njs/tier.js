// tier: hands an admitted request to the API tier (docs/api.md), in Python. The caller's key stays here: a token
// stands for it (lent.js), which nobody can guess, and which ends with the request (handed.js).
import * as contract from './contract.js';
import * as credentials from './credentials.js';
import * as lent from './lent.js';

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

// guarded: the guardrails that it has passed when the token is used. Throws where shared memory has no room.
function lend(r, guarded) {
    const variables = r.variables;
    const bytes = (/** @type {any} */ (globalThis)).crypto.getRandomValues(new Uint8Array(TOKEN_BYTES));
    const token = contract.TOKEN_PREFIX + Buffer.from(bytes).toString('hex');
    const entry = [];
    entry[contract.LENT_KEY] = credentials.entry(r);
    entry[contract.LENT_PARENT] = variables.ig_request_id;
    entry[contract.LENT_CLIENT] = variables.remote_addr;
    if (settings.tier && variables.ig_inner === '1') {   // what it asks for is asked for by what was lent already
        const own = lent.of((r.headersIn['Authorization'] || '').slice('Bearer '.length)) || [];
        entry[contract.LENT_PLACE] = own[contract.LENT_PLACE];
        entry[contract.LENT_GUARDED] = own[contract.LENT_GUARDED];
    }
    if (guarded) {
        entry[contract.LENT_GUARDED] = guarded;
    }
    ngx.shared.ig_lent.set(token, JSON.stringify(entry));
    variables.ig_token = token;
}

// Whether it takes a request that has to pass these guardrails: names, with a space between them. What is asked with
// the token has passed them. What is translated comes again as what it is translated to.
function guard(r, names) {
    if (contract.GUARDED_PATHS.indexOf(' ' + r.uri + ' ') === -1) {
        if (translates(r.uri)) {
            handOver(r, contract.HANDED_DIALECT);
            return true;
        }
        return false;
    }
    lend(r, ' ' + names + ' ');
    r.variables.ig_handed = contract.HANDED_GUARD;
    r.variables.ig_guards = names;
    r.internalRedirect('@guard');
    return true;
}

export { translates, unpacks, handOver, lend, guard };
