// model_socket: a request for a WebSocket to a model goes on to the backend, whose slot is taken already.
import * as contract from './contract.js';
import * as firstByte from './first_byte.js' with { load: 'rare' };

// query: what the backend is to read behind its path.
function lead(r, backend, query) {
    r.variables.ig_backend = backend[contract.ROUTE_BACKEND_NAME];
    r.variables.ig_stored = query;
    r.internalRedirect('@realtime' + firstByte.ending(backend[contract.ROUTE_BACKEND_RELAY]));
}

export { lead };
