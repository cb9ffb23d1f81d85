// shadow: a copy of a request for a second backend, left in shared memory for the control plane to
// send (src/infergate/control/shadow.py). So the first request never waits for the second, not even
// with its connection; and where the control plane is slow or dead, copies are dropped.
//
// ig_shadow   request id → [backend, path, body]
// ig_turns    'shadow <model>' → requests; 'uncopied <why> <model>' → those whose turn it was and that were not
//             copied: large (LARGEST), upload (no JSON), late (MOST wait already, or there is no room)

import * as contract from './contract.js';
import * as memory from './memory.js';

const MOST = 64, LARGEST = 262144;

// shadow: [backend, percent, upstream_name]. insert: as relay.js writes it into the request itself.
function copy(r, request, format, model, shadow, insert) {
    const zone = ngx.shared.ig_shadow;
    const turns = ngx.shared.ig_turns;
    // Evenly: of 100 requests in a row, as many as there are percent.
    const turn = memory.perhaps(() => turns.incr('shadow ' + model, 1, -1));
    if (turn === undefined || Math.floor((turn + 1) * shadow[contract.SHADOW_OPTION_PERCENT] / 100) === Math.floor(turn * shadow[contract.SHADOW_OPTION_PERCENT] / 100)) {
        return;
    }
    let why = request.bytes > LARGEST ? 'large' : r.variables.ig_content_type !== 'application/json' ? 'upload'
        : zone.size() >= MOST ? 'late' : undefined;
    if (why === undefined) {
        const body = format.edited(request, shadow[contract.SHADOW_OPTION_UPSTREAM_NAME] || model, insert).toString();
        why = memory.perhaps(() => zone.set(r.variables.ig_request_id, JSON.stringify([shadow[contract.SHADOW_OPTION_BACKEND], r.uri, body])))
            === undefined ? 'late' : undefined;
    }
    if (why !== undefined) {
        memory.perhaps(() => turns.incr(contract.COUNTED_KEY_UNCOPIED + why + ' ' + model, 1, 0));
    }
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

export { copy, take };
