// ready: whether every model, or each that health.ready names, has a backend that may get requests. For
// load balancers: without a key, and without a word of which it is. And the paths at which engines say that
// they are well: whoever waits for that sends a request next, for the usual model or any.
import * as contract from './contract.js';
import * as dialect from './dialect.js' with { load: 'rare' };
import * as route from './route.js';
import * as state from './state.js';
import * as usable from './usable.js';

// It looks at every route, so not more often than once in so many ms, whoever asks.
const KEPT = 1000, READY = '\nreadyz', WELL = '\nhealth';   // no backend and no model of ig_locks is called so

function ready(r) {
    if (r.uri === '/readyz') {
        const is = lately(READY, isReady);
        r.return(is ? 200 : 503, is ? 'ready\n' : 'not ready\n');
        return;
    }
    r.headersOut['Content-Type'] = 'application/json';
    if (lately(WELL, isWell)) {
        r.return(200, '{"status":"ok"}');
        return;
    }
    r.headersOut['Retry-After'] = '1';
    r.return(503, JSON.stringify(dialect.shape(r.uri, { status: 503, code: 'no_backend', param: null,
        message: 'No backend is there yet, or any more, for ' + (settings.default_model === '' ? 'any model.'
            : 'the model that is answered where none is named.') })));
}

function lately(mark, look) {
    const locks = ngx.shared.ig_locks;
    let is = locks.get(mark);
    if (is === undefined) {
        is = look() ? 1 : 0;
        try {
            locks.set(mark, is, KEPT);
        } catch (e) {
            // No room: it is looked at again.
        }
    }
    return is;
}

function isWell() {
    return settings.default_model === '' ? all().some(hasBackend) : hasBackend('');
}

function isReady() {
    const models = settings.ready.length === 0 ? all() : settings.ready;
    return models.length !== 0 && models.every(hasBackend);
}

// Names and aliases; the other entries are for look-ups (route.js, snapshot.js).
function all() {
    state.find(ngx.shared.ig_routes, '');   // which loads them after a start
    return ngx.shared.ig_routes.items(100000).filter((item) => /^[^\n]/.test(item[0]) && item[1][0] === '[')
        .map((item) => item[0]);
}

function hasBackend(model) {
    const found = ngx.shared.ig_routes.get(model) === undefined ? undefined : route.find(model);
    if (found === undefined) {
        return false;
    }
    const use = usable.open(found[contract.ROUTE_MODEL]);
    return found[contract.ROUTE_BACKENDS].some((backend) => use.conditionOf(backend[contract.ROUTE_BACKEND_NAME]) === undefined);
}

export { ready };
