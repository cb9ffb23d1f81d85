// addresses: the policy ip_hash. The client address's own backend.
import * as affinity from './affinity.js';
import * as busyness from './busyness.js';

const NAME = 0;

// See balance.js.
function open(r, route, request, tried, those) {
    const able = tried === '' ? those() : [];
    const home = affinity.byHash(r.rawVariables.ig_client.toString('hex'), able);   // access.conf
    return busyness.before(home === undefined ? undefined : home[NAME], r, route);
}

export { open };
