// shadow: a copy of a request for a second backend, left in shared memory for the control plane to
// send (src/infergate/control/shadow.py). So the first request never waits for the second, not even
// with its connection; and where the control plane is slow or dead, copies are dropped.
//
// ig_shadow   request id → [backend, path, body]

import memory from 'memory.js';

const MOST = 64, LARGEST = 262144;

// shadow: [backend, percent, upstream_name]
function copy(r, request, format, model, shadow) {
    const zone = ngx.shared.ig_shadow;
    if (request.bytes > LARGEST || r.variables.ig_content_type !== 'application/json' || zone.size() >= MOST) {
        return;
    }
    // Evenly: of 100 requests in a row, as many as there are percent.
    const turn = memory.perhaps(() => ngx.shared.ig_turns.incr('shadow ' + model, 1, -1));
    if (turn === undefined || Math.floor((turn + 1) * shadow[1] / 100) === Math.floor(turn * shadow[1] / 100)) {
        return;
    }
    const body = format.edited(request, shadow[2] || model, '').toString();
    memory.perhaps(() => zone.set(r.variables.ig_request_id, JSON.stringify([shadow[0], r.uri, body])));
}

// The control plane fetches what there is.
function take(r) {
    const zone = ngx.shared.ig_shadow;
    const taken = [];
    zone.keys(MOST).forEach((id) => {
        const entry = zone.pop(id);
        if (entry !== undefined) {
            taken.push(JSON.parse(entry));
        }
    });
    r.headersOut['Content-Type'] = 'application/json';
    r.return(200, JSON.stringify(taken));
}

export default { copy, take };
