// hedged: answer.js for a request that hedge.js sent to one backend or two. Its slot, and what is
// learned from it, are the winner's.
import * as answer from './answer.js';
import * as contract from './contract.js';
import * as hedging from './hedging.js';
import * as policy from './policy.js';
import * as state from './state.js';

// js_header_filter: for keys that are told, who answered.
function header(r) {
    const told = hedging.told(r);
    if (told !== undefined && policy.flags(r.variables.ig_policy).indexOf(contract.POLICY_FLAG_EXPLAINED) !== -1) {
        r.headersOut['x-infergate-backend'] = told.won || r.variables.ig_backend;
        r.headersOut['x-infergate-attempts'] = told.second === undefined ? '1' : '2';
    }
}

function settle(r) {
    const variables = r.variables;
    const first = variables.ig_backend;
    const told = hedging.told(r);
    hedging.isOver(r);
    if (told !== undefined) {
        variables.ig_why = variables.ig_why + hedging.words(first, told);
        if (told.won === told.second) {
            // hedge.js gave the second's slot back already; here it changes places with the first's,
            // which is ours, and answer.js gives it back.
            state.hold(told.won, 1);
            variables.ig_backend = told.won;
            state.hold(first, -1);
        }
        if (told.second !== undefined) {   // for the log: the other one
            variables.ig_tried = (told.won === told.second ? first : told.second) + ',';
        }
    }
    return answer.settle(r);
}

export { header, settle };
export { filter, refuse } from './answer.js';
