// state: what the control plane has put into shared memory, and the counters kept there.
//
// keys      SHA-256 of a key → its policy (policy.js)
// routes    model name or alias → its route (route.js)
// catalog   the lists that GET /v1/models and Ollama's /api/tags answer from (catalog.js)
// backends  backend → 'down' (probes say so), 'drained' (an operator does) or 'until:<ms>' (a
//           request just failed there; believed until that time). No entry: up.
// inflight  backend → requests in flight; '<pid>:<backend>' → those of one worker
// turns     model → count of round-robin turns
//
// Nothing here needs the control plane to be alive: what it pushed last is also on disk, and the
// first look-up that misses loads it. So after a start of nginx there is no moment in which a
// valid key is refused.
import fs from 'fs';

const LOADED = '\nloaded';

function keyPolicy(hash) {
    const policy = ngx.shared.ig_keys.get(hash);
    return policy === undefined && load() ? ngx.shared.ig_keys.get(hash) : policy;
}

function route(model) {
    let route = ngx.shared.ig_routes.get(model);
    if (route === undefined && load()) {
        route = ngx.shared.ig_routes.get(model);
    }
    return route === undefined ? undefined : JSON.parse(route);
}

function list(name) {
    let list = ngx.shared.ig_catalog.get(name);
    if (list === undefined && load()) {
        list = ngx.shared.ig_catalog.get(name);
    }
    return list === undefined ? [] : JSON.parse(list);
}

function condition(backend) {
    const entry = ngx.shared.ig_backends.get(backend);
    if (entry === undefined) {
        return 'up';
    }
    return entry.startsWith('until:') ? (Number(entry.slice(6)) > Date.now() ? 'down' : 'up') : entry;
}

// A request could not reach the backend: the others are preferred until the next probe is due.
// What probes or an operator said is not overwritten.
function markFailed(backend) {
    const entry = ngx.shared.ig_backends.get(backend);
    if (entry === undefined || entry.startsWith('until:')) {
        ngx.shared.ig_backends.set(backend, 'until:' + (Date.now() + ig_settings.mark_failed_ms));
    }
}

function inFlight(backend) {
    return ngx.shared.ig_inflight.get(backend) || 0;
}

function occupy(backend) {
    ngx.shared.ig_inflight.incr(backend, 1, 0);
    ngx.shared.ig_inflight.incr(process.pid + ':' + backend, 1, 0);
}

function release(backend) {
    ngx.shared.ig_inflight.incr(backend, -1, 0);
    ngx.shared.ig_inflight.incr(process.pid + ':' + backend, -1, 0);
}

function nextTurn(model) {
    return ngx.shared.ig_turns.incr(model, 1, -1);
}

// { pid: [backend, …] } of all workers that ever held a slot.
function holders() {
    const pids = {};
    ngx.shared.ig_inflight.keys(100000).forEach((key) => {
        const colon = key.indexOf(':');
        if (colon !== -1) {
            const pid = key.slice(0, colon);
            pids[pid] = pids[pid] || [];
            pids[pid].push(key.slice(colon + 1));
        }
    });
    return pids;
}

// Gives back the slots of a worker that is gone.
function forfeit(pid, backends) {
    backends.forEach((backend) => {
        const held = ngx.shared.ig_inflight.pop(pid + ':' + backend);
        if (held) {
            ngx.shared.ig_inflight.incr(backend, -held, 0);
        }
    });
}

// Loads the snapshots, unless that was done. Returns whether this call did.
function load() {
    if (ngx.shared.ig_catalog.get(LOADED) !== undefined) {
        return false;
    }
    // An array of js_preload_object has no methods.
    for (let i = 0; i < ig_settings.snapshots.length; i++) {
        try {
            merge(JSON.parse(fs.readFileSync(ig_settings.snapshots[i], 'utf8')), false);
        } catch (e) {
            if (e.code !== 'ENOENT') {   // ENOENT: nothing was ever pushed
                ngx.log(ngx.ERR, 'the snapshot ' + ig_settings.snapshots[i] + ' was not loaded: ' + e);
            }
        }
    }
    ngx.shared.ig_catalog.set(LOADED, '1');
    return true;
}

// Brings one part of the shared memory to what the document says:
// { replace: bool, set: {key: value}, delete: [key] }.
function change(zone, part, overwrite) {
    Object.keys(part.set || {}).forEach((key) => {
        if (overwrite) {
            zone.set(key, part.set[key]);
        } else {
            zone.add(key, part.set[key]);
        }
    });
    (part.delete || []).forEach((key) => zone.delete(key));
    if (part.replace && overwrite) {
        zone.keys(1000000).forEach((key) => {
            if (part.set[key] === undefined && key !== LOADED) {
                zone.delete(key);
            }
        });
    }
}

// overwrite is false for a snapshot: a push that came first is newer.
function merge(document, overwrite) {
    ['keys', 'routes', 'catalog', 'backends'].forEach((name) => {
        if (document[name]) {
            change(ngx.shared['ig_' + name], document[name], overwrite);
        }
    });
}

function entries(zone) {
    const all = {};
    zone.items(100000).forEach((item) => {
        all[item[0]] = item[1];
    });
    return all;
}

// The internal unix socket: POST brings changes, GET tells what is there.
function handle(r) {
    if (r.method === 'POST') {
        load();
        try {
            merge(JSON.parse(r.requestText), true);
        } catch (e) {
            r.return(e.name === 'SharedMemoryError' ? 507 : 400, String(e));
            return;
        }
        r.return(204);
        return;
    }
    load();
    r.headersOut['Content-Type'] = 'application/json';
    r.return(200, JSON.stringify({
        keys: ngx.shared.ig_keys.size(),
        routes: ngx.shared.ig_routes.size(),
        backends: entries(ngx.shared.ig_backends),
        inflight: entries(ngx.shared.ig_inflight),
    }));
}

export default {
    keyPolicy, route, list, condition, markFailed, inFlight, occupy, release, nextTurn, holders,
    forfeit, handle,
};
