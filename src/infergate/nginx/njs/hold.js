// hold: whether an answer's head waits for its first token, because until then the request may go elsewhere.
//
// Engines send the head of a stream at once and the first token when the prompt was read, which may be a minute
// later. nginx asks nobody else once it has a head. So these requests go through a server of ours on a unix socket,
// which keeps the head until there is more (first_token.js): to nginx, a backend that dies before has not answered.
import * as contract from './contract.js';
import * as streamed from './streamed.js';

function isHeld(r, found, request) {
    const options = found[contract.ROUTE_OPTIONS];   // which may be 0: see route.look
    const names = found[contract.ROUTE_NAMES];
    const from = options.retries === undefined ? settings.held_from : options.retries[contract.RETRIES_OPTION_HELD_FROM];
    return from !== null && request.bytes >= from && streamed.isStreamed(r.uri, request)
        && ((names === 0 ? found[contract.ROUTE_BACKENDS] : names).length > 1 || options.fallback !== undefined);
}

// Where it goes instead of `location`, which $ig_way names then.
function way(r, location) {
    r.variables.ig_way = location.replace('@relay', 'held');
    return '@held';
}

export { isHeld, way };
