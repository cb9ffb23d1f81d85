// realtime: a WebSocket to a model, /v1/realtime?model=NAME. nginx hands its bytes on without any of our
// code, so it counts as one request, and ends when one of both ends it, or its key does (watch.js).
import * as contract from './contract.js';
import * as kinds from './kinds.js';
import * as limits from './limits.js';
import * as modelInQuery from './model_in_query.js';
import * as modelSocket from './model_socket.js';
import * as named from './named.js';
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
    const name = modelInQuery.of(variables.request_uri);
    const wanted = named.find(r, name, 'Name the model in the address: ?model=NAME.');
    if (wanted.refusal !== undefined) {
        refuse.told(r, wanted.refusal);
        return;
    }
    const found = wanted.found;
    const flags = policy.flags(variables.ig_policy);
    const options = found[contract.ROUTE_OPTIONS];
    const request = { model: name, named: name, parsed: {}, text: '{}', bytes: 0, stream: true };
    variables.ig_model = found[contract.ROUTE_MODEL];
    const refused = flags !== '' || options.limits !== undefined
        ? limits.meet(r, variables.ig_policy, flags, options, request) : undefined;
    if (refused !== undefined) {
        refuse.told(r, refused);
        return;
    }
    const backend = route.pick(r, found, request, '', false, kinds.only(r.uri));
    if (backend === undefined) {
        refuse.told(r, refuse.unavailable(found[contract.ROUTE_MODEL]));
        return;
    }
    modelSocket.lead(r, backend, '?model='
        + encodeURIComponent(backend[contract.ROUTE_BACKEND_UPSTREAM_NAME] || found[contract.ROUTE_MODEL]));
}

export { query, serve };
export { admit } from './admit.js';
