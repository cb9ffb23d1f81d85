// service: who may use a web service next to the models by a key. Runs in the rewrite phase, as the
// variable $ig_admitted.
import * as admit from './admit.js';
import * as contract from './contract.js';
import * as limits from './limits.js' with { load: 'lazy' };
import * as policyOf from './policy.js';

const NUMBERS = 4;   // the line of a policy

// The variable $ig_admitted: see admit.js. 'forbidden' and 'exhausted' leave the refusal in
// $ig_refusal.
function enter(r) {
    const policy = admit.find(r);
    if (policy.indexOf('\n') === -1) {
        return policy;
    }
    const flags = admit.flags;
    const name = r.variables.ig_service;
    if (flags.indexOf(contract.POLICY_FLAG_CHOOSY) !== -1 && !policyOf.more().allowsService(policy, name)) {
        return refused(r, 'forbidden', { status: 403, code: 'service_not_allowed',
            message: 'This API key may not use the service ' + name + '.', param: null });
    }
    if (flags.indexOf(contract.POLICY_FLAG_LIMITED) !== -1) {
        const requests = Number(policyOf.more().line(policy, NUMBERS).split(',')[0]);
        const refusal = limits.take(r, [[contract.BUCKET_OF_KEY + r.variables.ig_key, requests, 0, 0]], 0);
        if (refusal !== undefined) {
            return refused(r, 'exhausted', refusal);
        }
    }
    return 'yes';
}

function refused(r, answer, refusal) {
    r.variables.ig_refusal = JSON.stringify(refusal);
    return answer;
}

export { enter as admit };
export { refuse, unclear } from './any_service.js';
