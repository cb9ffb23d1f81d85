// admit: find the caller's key and its policy. Runs in the rewrite phase as the variable
// $ig_admitted, so a request without a valid key is refused before its body is read.
import * as contract from './contract.js';
import * as credentials from './credentials.js' with { load: 'rare' };
import crypto from 'crypto';
import * as networks from './networks.js' with { load: 'rare' };
import * as policyOf from './policy.js';
import * as state from './state.js';

let flags;   // of the policy that was found last

// The policy of the caller's key, or the code of the refusal (which has no line break).
function find(r) {
    const headers = r.headersIn;
    const zone = state.shared.ig_keys;
    let policy;

    // Where clients put their key: OpenAI's, Anthropic's and Azure OpenAI's header.
    let key = headers['Authorization'];
    if (key) {
        const scheme = key.slice(0, 7);
        // RFC 9110: in any case
        key = scheme === 'Bearer ' || scheme.toLowerCase() === 'bearer ' ? key.slice(7) : '';
        key = key[0] === ' ' ? key.trim() : key;
    } else {
        key = headers['x-api-key'] || headers['api-key'];
    }
    if (key) {
        policy = state.find(zone, crypto.createHash('sha256').update(key).digest('hex'));
    }
    if (policy === undefined) {
        policy = credentials.find(r, key);
        if (policy.indexOf('\n') === -1) {
            return policy;
        }
    }
    flags = policyOf.flags(policy);
    const name = flags.length + 1;
    r.variables.ig_key = policy.slice(name, policy.indexOf('\n', name));
    if (flags !== '') {
        const line = policyOf.more().line;
        if (flags.indexOf(contract.POLICY_FLAG_EXPIRES) !== -1 && Number(line(policy, contract.POLICY_LINE_EXPIRY)) * 1000 < Date.now()) {
            return 'expired_api_key';
        }
        if (flags.indexOf(contract.POLICY_FLAG_NETWORKS) !== -1 && !networks.contain(line(policy, contract.POLICY_LINE_NETWORKS), r.variables.remote_addr)) {
            return 'address_not_allowed';
        }
    }
    return policy;
}

// The variable $ig_admitted: 'yes' to let the request pass, or the code of the refusal. An exception
// here leaves it empty, and that refuses too. The policy stays in $ig_policy for the content phase, the
// key's public id in $ig_key for the log.
function admit(r) {
    const policy = find(r);
    if (policy.indexOf('\n') === -1) {
        return policy;
    }
    r.variables.ig_policy = policy;
    return 'yes';
}

// Puts the policy of a request that left the short way, which keeps it to itself, into $ig_policy, however
// it left. Whether its key is valid still.
function remember(r) {
    if (r.variables.ig_policy === '') {
        const policy = find(r);
        if (policy.indexOf('\n') === -1) {
            return false;
        }
        r.variables.ig_policy = policy;
    }
    return true;
}

export { flags, find, admit, remember };
