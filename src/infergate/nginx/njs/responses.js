// responses: a WebSocket on /v1/responses, as Codex opens one first. Each message in it names a model and uses
// tokens, and nginx hands the bytes on without any of our code. So it is relayed for keys alone that nothing
// has to be held to; the others are told 426, after which clients go on by HTTP.
import * as catalog from './catalog.js';
import * as modelSocket from './model_socket.js';
import * as policy from './policy.js';
import * as route from './route.js';
import * as state from './state.js';

const PATH = '/v1/responses';

// Undefined where the request goes on to a backend; else why not.
function relay(r) {
    const found = r.uri === PATH ? catalog.overWebSockets() : undefined;
    if (found === undefined) {
        return 'This endpoint speaks HTTP here, and no WebSocket.';
    }
    const variables = r.variables;
    if (!policy.more().isFree(variables.ig_policy)) {
        return 'A WebSocket could not be held to what this API key may: use HTTP.';
    }
    const backend = route.pick(r, found, { parsed: {}, text: '{}', bytes: 0 }, '', false, undefined);
    variables.ig_why = variables.ig_why + state.why;
    if (backend === undefined) {
        return 'No backend with a WebSocket is available: use HTTP.';
    }
    modelSocket.lead(r, backend, '');
    return undefined;
}

export { relay };
