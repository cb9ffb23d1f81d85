// same_backend: a request goes on to the backend whose slot it has already.
import * as careful from './careful.js';
import * as contract from './contract.js';
import * as refuse from './refuse.js';
import * as relay from './relay.js';
import * as route from './route.js';

// Whether it does: not where the configuration changed meanwhile, and the model has no such backend any more.
// why: for the log.
function goesOn(r, name, why) {
    const variables = r.variables;
    const found = route.find(variables.ig_model);
    const backend = found && found[contract.ROUTE_BACKENDS].filter((each) => each[contract.ROUTE_BACKEND_NAME] === name)[0];
    if (!backend) {
        return false;
    }
    const format = careful.formatOf(r);
    variables.ig_why = variables.ig_why + why;
    relay.dispatch(r, found, format.read(r), format, backend);
    return true;
}

// The same, or the request is refused.
function send(r, name, why) {
    if (!goesOn(r, name, why)) {
        refuse.told(r, refuse.unavailable(r.variables.ig_model));
    }
}

export { goesOn, send };
