// cached: the short way for an endpoint whose answers are kept. nginx asks for the zone of its cache
// ($ig_cache) when it has the body; if it has the answer, it needs no backend, and $ig_out is never
// asked for. Else all goes on as in hot.js, whose redirect leads to missed.js here.
//
// A request whose answer is known to be kept is not parsed: keep.js remembers its model by the digest.
// What only the others need is imported seldom.
import * as admit from './admit.js';
import * as answer from './answer.js';
import * as body from './body.js' with { load: 'rare' };
import * as charge from './charge.js' with { load: 'lazy' };
import * as contract from './contract.js';
import * as door from './door.js';
import * as keep from './keep.js';
import * as kept from './kept.js';
import * as keeping from './keeping.js' with { load: 'lazy' };
import * as limits from './limits.js' with { load: 'lazy' };
import * as params from './params.js' with { load: 'rare' };
import * as plain from './plain.js' with { load: 'lazy' };
import * as policy from './policy.js';
import * as query from './query.js' with { load: 'rare' };
import * as quick from './quick.js' with { load: 'lazy' };
import * as route from './route.js' with { load: 'lazy' };
import * as scan from './scan.js' with { load: 'lazy' };
import * as state from './state.js';

// Above, making text of a body is what costs.
const LARGEST_TEXT = 4096;
// Above, what came without a Content-Length takes too long to hash.
const LARGEST = 131072;

let request, found;
let short = true;      // the short way may do it, if nginx has no answer
let met = false;       // it took from its limits
let asked = false;     // a backend was
let model;             // whose answer nginx may have

// The variable $ig_cache, the first thing that nginx needs here.
function cache(r) {
    try {
        const text = door.size > LARGEST_TEXT ? r.requestBuffer : r.requestText;
        const tenant = door.keyPolicy.split('\n', contract.POLICY_LINE_TENANT + 1)[contract.POLICY_LINE_TENANT];
        if (!text || !tenant || admit.flags.indexOf(contract.POLICY_FLAG_GUARDED) !== -1 || text.length > LARGEST) {
            return '';
        }
        const name = keep.nameOf(r, text);
        return recall(r, tenant, name) ? 'answers' : look(r, tenant, name);
    } catch (e) {
        r.error('the cache was not asked: ' + e);
        short = false;
        return '';
    }
}

// Whether nginx may have the answer, where that is all there is to decide.
function recall(r, tenant, name) {
    const zone = state.shared.ig_kept;
    const keyPolicy = door.keyPolicy;
    const known = zone.get(tenant + name) || zone.get(keep.EVERYBODY + name);
    if (known === undefined || r.variables.http_cache_control !== undefined) {
        return false;
    }
    const parts = known.split('\n');
    const flags = admit.flags;
    if (parts[keep.LIMITED] !== '' || flags.indexOf(contract.POLICY_FLAG_LIMITED) !== -1 || flags.indexOf(contract.POLICY_FLAG_BLOCKED) !== -1
        || !policy.mayUse(keyPolicy, parts[keep.MODEL], parts[keep.NAMED])) {
        return false;
    }
    model = parts[keep.MODEL];
    r.variables.ig_model = model;
    if (parts[keep.NAMED] !== model) {
        r.variables.ig_model_asked = parts[keep.NAMED];
    }
    r.variables.ig_cache_key = parts[keep.KEY];
    return true;
}

// The same for all others. Returns the zone of nginx's cache that may have the answer, or ''.
function look(r, tenant, name) {
    const keyPolicy = door.keyPolicy;
    request = plain.read(r, door.size) || scan.read(r);
    if (request === undefined) {
        short = false;
        request = body.read(r);
    }
    const named = request.model;
    found = request.error || named === undefined ? undefined : route.look(named);
    if (!found || !policy.mayUse(keyPolicy, found[contract.ROUTE_MODEL], named)) {
        short = false;
        return '';
    }
    const options = found[contract.ROUTE_OPTIONS];
    if (options === 0 || options.cache === undefined) {
        return '';
    }
    if (options.params !== undefined) {   // the answer is to what is meant
        short = false;
        request = params.of(r, request, options.params);
        if (request.error) {
            return '';
        }
    }
    if (!isWithin(r, options)) {
        short = false;
        return '';
    }
    const where = keeping.find(r, request, found, tenant, name);
    if (where === 'cached') {
        model = found[contract.ROUTE_MODEL];
        r.variables.ig_model = model;
        if (named !== model) {
            r.variables.ig_model_asked = named;
        }
        return 'answers';
    }
    if (r.variables.ig_uncached === 'HIT') {
        short = false;   // missed.js has it
    }
    return '';
}

// Whether its limits let it pass, and its answer is not this key's own. If they do not, it is refused elsewhere.
function isWithin(r, options) {
    const flags = admit.flags;
    if (flags === '' && options.limits === undefined) {
        return true;
    }
    if (limits.meet(r, door.keyPolicy, flags, options, request) !== undefined) {
        return false;
    }
    met = true;
    return !request.unbounded;
}

// The variable $ig_out: see hot.js.
function out(r) {
    let text;
    if (model !== undefined) {   // nginx has no answer
        r.variables.ig_keep = 'cached';
        // A completion's location passes on its pieces at once, so it cannot keep them: relay.js has one
        // that can.
        short = short && !keeping.isCompletions(r.uri);
    }
    try {
        text = short ? quick.decide(r, request, found, met) : undefined;
    } catch (e) {
        r.error('the short way failed: ' + e);
    }
    if (text === undefined) {
        state.drop(r);
        r.variables.ig_policy = door.keyPolicy;
        r.variables.ig_met = met ? 'yes' : '';
        return '';
    }
    asked = true;
    return text;
}

function filter(r, data, flags) {
    if (asked) {
        kept.filter(r, data, flags);
        return;
    }
    r.sendBuffer(data, flags);
    r.done();
}

function settle(r) {
    if (asked) {
        return kept.settle(r);
    }
    answer.forget();
    if (met) {
        charge.settle(r, 0);
    }
    if (r.status === 200) {
        keep.count(contract.COUNTED_KEY_HITS, model);
    }
    return '';
}

// The variable $ig_query_kept.
function queried(r) {
    return query.kept(r);
}

export { queried as query, cache, out, filter, settle };
export { enter as admit } from './door.js';
export { refuse } from './kept.js';
