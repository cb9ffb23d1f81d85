// credentials: the keys that a request brought besides the usual one, and who needs none. Clients send a
// dummy in one header and their key in another: the first that is valid counts.
import * as contract from './contract.js';
import crypto from 'crypto';
import * as lent from './lent.js';
import * as networks from './networks.js';
import * as policyOf from './policy.js';
import * as state from './state.js';

const NETWORKS = 5;   // the line of a policy

// The policy, or the code of the refusal. tried: a key that is none.
function find(r, tried) {
    if (settings.tier && r.variables.ig_inner === '1') {   // nobody's key counts there
        return lent.find(r, tried);
    }
    const zone = state.shared.ig_keys;
    const keys = brought(r);
    for (let i = 0; i < keys.length; i++) {
        const policy = keys[i] === tried ? undefined
            : state.find(zone, crypto.createHash('sha256').update(keys[i]).digest('hex'));
        if (policy !== undefined) {
            return policy;
        }
    }
    const refusal = keys.length === 0 && !r.headersIn['Authorization'] ? 'missing_api_key' : 'invalid_api_key';
    return anonymous(r, zone, refusal);
}

// Under which entry of ig_keys the policy of an admitted request is.
function entry(r) {
    if (settings.tier && r.variables.ig_inner === '1') {   // it has what another request lent
        const own = lent.of((r.headersIn['Authorization'] || '').slice('Bearer '.length));
        return own === undefined ? '' : own[contract.LENT_KEY];
    }
    const first = /^bearer +(.+)$/i.exec((r.headersIn['Authorization'] || '').trim());
    const hashes = (first === null ? [] : [first[1].trim()]).concat(brought(r))
        .map((key) => crypto.createHash('sha256').update(key).digest('hex'));
    return hashes.filter((hash) => state.shared.ig_keys.get(hash) !== undefined)[0] || 'anonymous';
}

function brought(r) {
    const headers = r.headersIn;
    const parts = /^(bearer|basic) +(.+)$/i.exec((headers['Authorization'] || '').trim()) || [];
    const keys = [headers['x-api-key'], headers['api-key'], headers['x-goog-api-key']];
    if (parts[1] !== undefined && parts[1].toLowerCase() === 'basic') {
        const pair = Buffer.from(parts[2], 'base64').toString();
        keys.push(pair.slice(pair.indexOf(':') + 1));   // the password
    } else {
        keys.push(parts[2]);
    }
    if (settings.key_in_query && !r.variables.ig_service) {   // a service would get it, too
        keys.push(inQuery(r.variables.request_uri || ''));
    }
    return keys.map((key) => (key || '').trim()).filter((key) => key !== '');
}

function inQuery(address) {
    const found = /[?&]key=([^&#]*)/.exec(address);
    try {
        return found === null ? '' : decodeURIComponent(found[1]);
    } catch (e) {
        return '';
    }
}

// Of a caller without a key: where none is required, or in the networks of auth.anonymous. From these a
// browser may have been sent by a page of another site.
function anonymous(r, zone, refusal) {
    const policy = state.find(zone, 'anonymous');
    if (policy === undefined || policyOf.flags(policy).indexOf(contract.POLICY_FLAG_NETWORKS) === -1) {
        return policy || refusal;
    }
    if (!networks.contain(policyOf.more().line(policy, NETWORKS), r.variables.remote_addr)) {
        return refusal;
    }
    return r.variables.ig_foreign_origin === '1' ? 'origin_not_allowed' : policy;
}

export { find, entry };
