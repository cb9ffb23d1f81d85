// addresses: the policy ip_hash. The client address's own backend.
import * as affinity from './affinity.js';
import * as busyness from './busyness.js';
import * as contract from './contract.js';

// See balance.js.
function open(r, route, request, tried, those) {
    const able = tried === '' ? those() : [];
    const home = affinity.byHash(r.rawVariables.ig_client.toString('hex'), able);   // access.conf
    return busyness.before(home === undefined ? undefined : home[contract.ROUTE_BACKEND_NAME], r, route);
}

export { open };
