// push: the control plane's side of shared memory, on the internal unix socket. POST brings
// changes, GET tells what is there.
import snapshot from 'snapshot.js';

function entries(zone) {
    const all = {};
    zone.items(100000).forEach((item) => {
        all[item[0]] = item[1];
    });
    return all;
}

function state(r) {
    snapshot.load();
    if (r.method === 'POST') {
        try {
            snapshot.merge(JSON.parse(r.requestText), true);
        } catch (e) {
            r.return(e.name === 'SharedMemoryError' ? 507 : 400, String(e));
            return;
        }
        r.return(204);
        return;
    }
    r.headersOut['Content-Type'] = 'application/json';
    r.return(200, JSON.stringify({
        revision: settings.revision,
        keys: ngx.shared.ig_keys.size(),
        routes: ngx.shared.ig_routes.size(),
        backends: entries(ngx.shared.ig_backends),
        load: entries(ngx.shared.ig_load),
        breakers: entries(ngx.shared.ig_breakers),
        waiting: entries(ngx.shared.ig_waiting),
        inflight: entries(ngx.shared.ig_inflight),
    }));
}

export default { state };
