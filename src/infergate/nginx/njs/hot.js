// hot: the short way through for most requests: a small body whose model has a backend with the usual
// timeouts. Everything is decided in one engine of njs and without a redirect: nginx reads the body
// for its proxy, asks for the body to send ($ig_out, the first thing it needs), and there the backend
// is chosen; it picks the server by $ig_peer, a map of the backend's name, after that. On the way of
// @careful, with two engines and a redirect, the same takes half as long again. See
// docs/decisions/005.
//
// Whatever is not usual bounces: $ig_peer stays empty, which hashes to the internal server that
// says that it is undecided, and error_page leads on to @careful. So does every exception. What only
// needs a longer time is decided here all the same, and goes on from there to its location.
import * as door from './door.js';
import * as query from './query.js' with { load: 'rare' };
import * as quick from './quick.js';
import * as state from './state.js';

// The variable $ig_out: the body for the backend, which is chosen as a side effect.
function out(r) {
    let body;
    try {
        body = quick.decide(r);
    } catch (e) {
        r.error('the short way failed: ' + e);
    }
    if (body === undefined) {
        state.drop(r);
        r.variables.ig_policy = door.keyPolicy;
        return '';
    }
    return body;
}

// The variable $ig_query_kept.
function queried(r) {
    return query.kept(r);
}

export { queried as query, out };
export { enter as admit } from './door.js';
export { filter, refuse, settle } from './answer.js';
