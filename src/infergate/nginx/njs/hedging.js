// hedging: whether a request may be asked of two backends, and its way to where that is done.
//
//   relay.js → @hedge, a proxy ─unix socket─▶ hedge.js ─unix socket─▶ one location for each attempt
//
// hedge.js asks the backends and tells in a header what came of it; hedged.js and hedge_retry.js are
// the request's own side. The proxy in between sees the client leave, which a handler of njs does not.
// See docs/decisions/007.
//
// ig_hedging   request id → 1 while somebody waits for the answer

import * as contract from './contract.js';
import * as memory from './memory.js';

// The location to go to: `location` where one backend is all it gets, because the model has no `hedge`, the
// endpoint is not of the kind, or it was sent out before.
function way(r, found, request, backend, location) {
    const variables = r.variables;
    if (found[contract.ROUTE_OPTIONS].hedge === undefined || variables.ig_hedge !== '' || variables.ig_tried !== '' || request.stream === true
        || settings.hedged[r.uri] === undefined
        || memory.perhaps(() => ngx.shared.ig_hedging.add(variables.ig_request_id, 1)) === undefined) {
        return location;
    }
    variables.ig_hedge = encodeURIComponent(JSON.stringify(
        [variables.ig_request_id, found[contract.ROUTE_MODEL], backend[contract.ROUTE_BACKEND_NAME], location.slice(1)]));
    return '@hedge';
}

// What hedge.js told, or undefined if it did not come so far:
//   { won, ms, status, reached, second, after, second_status, none }
// won: who answered, '' if nobody did; ms: until then. status, reached: the first's, where it failed.
// second: who was asked too; after, second_status: when (ms), and how it failed, if it did. none: why
// nobody else was asked, though the first was late. Or { broken }: what failed in hedge.js itself.
function told(r) {
    const text = r.variables.upstream_http_x_infergate_hedge;
    if (r.variables.upstream_cache_status === 'HIT') {
        return undefined;   // told of the request that the kept answer was for
    }
    return text ? JSON.parse(text) : undefined;
}

// The same for the log's `why`.
function words(first, found) {
    let text = '';
    if (found.none !== undefined) {
        text += 'late, not asked elsewhere: ' + found.none + ';';
    }
    if (found.second !== undefined) {
        text += 'asked ' + found.second + contract.WHY_ASKED_TOO + found.after + ' ms;';
        if (found.second_status !== undefined) {
            text += found.second + ' failed ' + found.second_status + ';';
        }
        if (found.won !== '') {
            if (found.status !== undefined) {
                text += first + ' failed ' + found.status + ';';
            }
            text += found.won + ' answered after ' + found.ms + ' ms;';
        }
    }
    return text;
}

function isOver(r) {
    ngx.shared.ig_hedging.delete(r.variables.ig_request_id);
}

export { way, told, words, isOver };
