// realtime: a WebSocket to a model, /v1/realtime?model=NAME. nginx hands its bytes on without any of our
// code, so it counts as one request, and ends when one of both ends it, or its key does (watch.js).
import * as catalog from './catalog.js' with { load: 'rare' };
import * as firstByte from './first_byte.js' with { load: 'rare' };
import * as kinds from './kinds.js';
import * as limits from './limits.js';
import * as lines from './line.js' with { load: 'rare' };
import * as modelInQuery from './model_in_query.js';
import * as policy from './policy.js';
import * as refuse from './refuse.js';
import * as route from './route.js';

// The variable $ig_query_kept: nothing of it is for nginx to send.
function query() {
    return '';
}

function serve(r) {
    refuse.unlessFull(r, () => decide(r));
}

function decide(r) {
    const variables = r.variables;
    if (r.method !== 'GET' || !/^websocket$/i.test(r.variables.http_upgrade || '')) {
        refuse.refuse(r, 426, 'websocket_needed', 'This endpoint is a WebSocket: ask for one with Upgrade.');
        return;
    }
    const named = modelInQuery.of(variables.request_uri);
    const found = route.find(named);
    variables.ig_model_asked = (named || '').slice(0, lines.LONGEST_NAME);
    if (!found && named === undefined) {
        refuse.refuse(r, 400, 'missing_model', "Name the model in the address: ?model=NAME.", 'model');
        return;
    }
    if (!found || !policy.mayUse(variables.ig_policy, found[0], named)) {
        catalog.refuseUnknown(r, named);
        return;
    }
    const strange = kinds.problem(r.uri, found[0], found[route.BACKENDS], route.FLAGS);
    if (strange !== undefined) {
        refuse.told(r, strange);
        return;
    }
    const flags = policy.flags(variables.ig_policy);
    const options = found[route.OPTIONS];
    const request = { model: named, named, parsed: {}, text: '{}', bytes: 0, stream: true };
    variables.ig_model = found[0];
    const refused = flags !== '' || options.limits !== undefined
        ? limits.meet(r, variables.ig_policy, flags, options, request) : undefined;
    if (refused !== undefined) {
        refuse.told(r, refused);
        return;
    }
    const backend = route.pick(r, found, request, '', false, kinds.only(r.uri));
    if (backend === undefined) {
        refuse.refuse(r, 503, 'no_backend', 'No backend of the model `' + found[0] + '` is available.');
        return;
    }
    variables.ig_backend = backend[route.NAME];
    variables.ig_stored = '?model=' + encodeURIComponent(backend[route.UPSTREAM_NAME] || found[0]);
    r.internalRedirect('@realtime' + firstByte.ending(backend[route.RELAY]));
}

export { query, serve };
export { admit } from './admit.js';
