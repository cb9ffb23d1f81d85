// guards: which guardrails a request has to pass (docs/guardrails.md), and whether it has. The API tier looks it through
// and asks again, on the inner listener, with a token that says so (tier.js).
import * as contract from './contract.js';
import * as policy from './policy.js';

// { found } of a request that has passed all, or { refusal } with `guards`, the names of all.
function find(r, found) {
    const names = wanted(r, found);
    const passed = passedBy(r);
    if (isJudge(r, found) || names.every((name) => passed.indexOf(' ' + name + ' ') !== -1)) {
        return { found };
    }
    return { refusal: settings.tier
        ? { status: 400, code: 'not_guarded', param: 'model', guards: names.join(' '), message: 'What goes through `' + r.uri
            + '` cannot be looked through, and has to be with this model or API key.' }
        : { status: 503, code: 'guardrail_unavailable', message: 'What has to look through requests of this API key is not there.' } };
}

// Of the model, and of the caller's key.
function wanted(r, found) {
    const own = found[contract.ROUTE_OPTIONS].guardrails || [];
    const keyPolicy = r.variables.ig_policy;
    const its = policy.flags(keyPolicy).indexOf(contract.POLICY_FLAG_GUARDED) === -1 ? []
        : policy.more().line(keyPolicy, contract.POLICY_LINE_GUARDRAILS).split(' ');
    return own.concat(its.filter((name) => own.indexOf(name) === -1));
}

// With a space before and after each; '' for none.
function passedBy(r) {
    return settings.tier && r.variables.ig_inner === '1' ? r.variables.ig_guarded || '' : '';
}

// Whether a guardrail asks its judge: that passes none, or it would ask itself.
function isJudge(r, found) {
    return passedBy(r) !== '' && r.headersIn['x-infergate-judge'] === '1'
        && settings.judges.indexOf(' ' + found[contract.ROUTE_MODEL] + ' ') !== -1;
}

export { find, isJudge };
