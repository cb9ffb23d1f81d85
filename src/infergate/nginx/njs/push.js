// push: the control plane's side of shared memory, on the internal unix socket. POST brings
// changes, GET tells what is there.
import * as contract from './contract.js';
import * as snapshot from './snapshot.js';

function entries(zone) {
    const all = {};
    zone.items(100000).forEach((item) => {
        all[item[0]] = item[1];
    });
    return all;
}

// Of the zone that counts picks, too.
function inFlight() {
    const all = entries(ngx.shared.ig_inflight);
    Object.keys(all).forEach((key) => {
        if (key === '' || key[0] === '/') {
            delete all[key];
        }
    });
    return all;
}

// How often kept answers were given again, and how often there was none (keep.js); how many requests a shadow
// got no copy of (shadow.js).
function counts() {
    const all = { kept: {}, uncopied: {} };
    ngx.shared.ig_turns.items(100000).forEach((item) => {
        if (item[0].startsWith(contract.COUNTED_KEY_HITS) || item[0].startsWith(contract.COUNTED_KEY_MISSES)) {
            all.kept[item[0]] = item[1];
        } else if (item[0].startsWith(contract.COUNTED_KEY_UNCOPIED)) {
            all.uncopied[item[0].slice(contract.COUNTED_KEY_UNCOPIED.length)] = item[1];
        }
    });
    return all;
}

// zone → its size, the free bytes of it, and whether it gives up its oldest entries
function zones() {
    const all = {};
    Object.keys(settings.zones).forEach((name) => {
        const zone = ngx.shared['ig_' + name];
        all[name] = [zone.capacity, zone.freeSpace(), settings.zones[name]];
    });
    return all;
}

function state(r) {
    snapshot.load();
    if (r.method === 'POST') {
        let full;
        try {
            full = snapshot.merge(JSON.parse(r.requestText), true);
        } catch (e) {
            r.return(400, String(e));
            return;
        }
        if (Object.keys(full).length === 0) {
            r.return(204);
        } else {
            r.return(507, JSON.stringify(full));
        }
        return;
    }
    const counted = counts();
    r.headersOut['Content-Type'] = 'application/json';
    r.return(200, JSON.stringify({
        revision: settings.revision,
        keys: Math.max(0, ngx.shared.ig_keys.size() - 1),   // one is snapshot.js's
        routes: ngx.shared.ig_routes.size(),
        backends: entries(ngx.shared.ig_backends),
        load: entries(ngx.shared.ig_load),
        engines: entries(ngx.shared.ig_engines),
        breakers: entries(ngx.shared.ig_breakers),
        waiting: entries(ngx.shared.ig_waiting),
        inflight: inFlight(),
        kept: counted.kept,
        uncopied: counted.uncopied,
        zones: zones(),
    }));
}

export { state };
