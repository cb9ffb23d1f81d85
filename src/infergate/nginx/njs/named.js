// named: the route of the model that a request names, if its key may use it and one of the model's backends has
// such an endpoint. For bodies and for WebSockets.
import * as catalog from './catalog.js' with { load: 'rare' };
import * as contract from './contract.js';
import * as guards from './guards.js' with { load: 'rare' };
import * as kinds from './kinds.js';
import * as policy from './policy.js';
import * as route from './route.js';

// { found }, or { refusal }. name: undefined where it names none; missing: what to tell then.
function find(r, name, missing) {
    const keyPolicy = r.variables.ig_policy;
    const found = route.find(name);
    const usual = settings.default_model;
    r.variables.ig_model_asked = (name || '').slice(0, contract.LONGEST_NAME);
    if (!found && usual !== '' && policy.allowsModel(keyPolicy, usual)) {
        return { refusal: { status: 503, code: 'no_backend', retry_after: 5, message: 'The model `' + usual
            + '`, which answers where no other does, is not known yet: no backend that has it has answered.' } };
    }
    if (!found && name === undefined) {
        return { refusal: { status: 400, code: 'missing_model', message: missing, param: 'model' } };
    }
    if (!found || !policy.mayUse(keyPolicy, found[contract.ROUTE_MODEL], name)) {
        return found && guards.isJudge(r, found) ? { found } : { refusal: catalog.unknown(r, name) };
    }
    if (found[contract.ROUTE_OPTIONS].gone !== undefined && catalog.isGone(found)) {
        return { refusal: { status: 404, code: 'model_not_found', param: 'model',
            message: 'The model `' + name + '` ' + found[contract.ROUTE_OPTIONS].gone[contract.GONE_OPTION_SAYS] } };
    }
    const refusal = kinds.problem(
        r.uri, found[contract.ROUTE_MODEL], found[contract.ROUTE_BACKENDS], contract.ROUTE_BACKEND_FLAGS);
    return refusal === undefined ? passed(r, found) : { refusal };
}

// As guards.find has it, which few requests need.
function passed(r, found) {
    return found[contract.ROUTE_OPTIONS].guardrails === undefined
        && policy.flags(r.variables.ig_policy).indexOf(contract.POLICY_FLAG_GUARDED) === -1 ? { found } : guards.find(r, found);
}

export { find };
