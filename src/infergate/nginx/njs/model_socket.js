// model_socket: a request for a WebSocket to a model goes on to the backend, whose slot is taken already.
import * as firstByte from './first_byte.js' with { load: 'rare' };
import * as route from './route.js';

// query: what the backend is to read behind its path.
function lead(r, backend, query) {
    r.variables.ig_backend = backend[route.NAME];
    r.variables.ig_stored = query;
    r.internalRedirect('@realtime' + firstByte.ending(backend[route.RELAY]));
}

export { lead };
