// purge: what is kept (keep.js), on the internal unix socket. GET counts it; POST forgets it, all or of
// the model that the body names, and tells the keys of nginx's cache that go with it.
import * as keep from './keep.js';

const MOST = 1000000;
const MODEL_OF_STREAM = 0;

// model → how many
function counted(zone, at) {
    const found = {};
    zone.items(MOST).forEach((item) => {
        const model = item[1].split('\n', at + 1)[at];
        found[model] = (found[model] || 0) + 1;
    });
    return found;
}

// The first lines of what there was.
function forget(zone, at, model) {
    const gone = [];
    zone.items(MOST).forEach((item) => {
        const lines = item[1].split('\n', at + 1);
        if (model === undefined || lines[at] === model) {
            zone.delete(item[0]);
            gone.push(lines[0]);
        }
    });
    return gone;
}

function serve(r) {
    const kept = ngx.shared.ig_kept;
    const streams = ngx.shared.ig_streams;
    let told;
    if (r.method === 'POST') {
        const model = JSON.parse(r.requestText).model;
        told = { keys: forget(kept, keep.MODEL, model), streams: forget(streams, MODEL_OF_STREAM, model).length };
    } else {
        told = { answers: counted(kept, keep.MODEL), streams: counted(streams, MODEL_OF_STREAM) };
    }
    r.headersOut['Content-Type'] = 'application/json';
    r.return(200, JSON.stringify(told));
}

export { serve };
