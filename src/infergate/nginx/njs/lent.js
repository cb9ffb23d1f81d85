// lent: what a request lent the API tier (tier.js), so that what this asks of models is asked by the caller:
// with the policy that its key has at that moment, from its own address. A token counts on one listener
// alone, a unix socket of nginx's (templates/site_api.conf.j2), and nothing else counts there.
import * as contract from './contract.js';
import * as state from './state.js';

// The policy of the caller, or the code of the refusal. token: what came as a bearer's.
function find(r, token) {
    const found = of(token);
    if (found === undefined || found[contract.LENT_CLIENT] !== r.variables.remote_addr) {
        return 'request_over';
    }
    r.variables.ig_parent = found[contract.LENT_PARENT];
    r.variables.ig_guarded = found[contract.LENT_GUARDED] || '';
    const policy = state.find(state.shared.ig_keys, found[contract.LENT_KEY]);
    if (policy === undefined) {
        return 'request_over';
    }
    return typeof found[contract.LENT_PLACE] !== 'number' ? policy : placed(policy, found[contract.LENT_PLACE]);
}

// The policy, with another class in the queue.
function placed(policy, place) {
    const lines = policy.split('\n');
    const numbers = lines[contract.POLICY_LINE_NUMBERS].split(',');
    numbers[contract.POLICY_NUMBER_PLACE] = place;
    lines[contract.POLICY_LINE_NUMBERS] = numbers.join(',');
    lines[contract.POLICY_LINE_FLAGS] = lines[contract.POLICY_LINE_FLAGS].replace(contract.POLICY_FLAG_PLACED, '')
        + contract.POLICY_FLAG_PLACED;
    return lines.join('\n');
}

// The entry of a token; undefined once its request is over.
function of(token) {
    const text = token !== undefined && token.startsWith(contract.TOKEN_PREFIX)
        ? ngx.shared.ig_lent.get(token) : undefined;
    return text === undefined ? undefined : JSON.parse(text);
}

// Behind a token: for whom the tier asks another backend to go on.
const CONTINUED = ' continued';

// The tier asks with its token for the rest of a stream. failed: the backends that broke off, each followed by ','.
function note(r, failed) {
    ngx.shared.ig_lent.set(r.headersIn['Authorization'].slice('Bearer '.length) + CONTINUED, failed);
}

// The request is over, or answered by us. Returns the backends that broke off, and others went on for them.
function end(r) {
    const token = r.variables.ig_token;
    let failed;
    if (token) {
        ngx.shared.ig_lent.delete(token);
        failed = ngx.shared.ig_lent.get(token + CONTINUED);
        if (failed !== undefined) {
            ngx.shared.ig_lent.delete(token + CONTINUED);
        }
    }
    return failed || '';
}

export { find, of, note, end };
