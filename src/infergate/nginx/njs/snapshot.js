// snapshot: what the control plane pushed last, from the disk into shared memory.
import fs from 'fs';

const LOADED = '\nloaded';
// Loads the snapshots, unless that was done. Returns whether this call did.
function load() {
    if (ngx.shared.ig_catalog.get(LOADED) !== undefined) {
        return false;
    }
    settings.snapshots.forEach((path) => {
        try {
            merge(JSON.parse(fs.readFileSync(path, 'utf8')), false);
        } catch (e) {
            if (e.code !== 'ENOENT') {   // ENOENT: nothing was ever pushed
                ngx.log(ngx.ERR, 'the snapshot ' + path + ' was not loaded: ' + e);
            }
        }
    });
    ngx.shared.ig_catalog.set(LOADED, '1');
    return true;
}

// Brings shared memory to what the document says, zone by zone:
// { keys | routes | catalog | backends | load | breakers: { replace: bool, set: {key: value}, delete: [key] } }.
// overwrite is false for a snapshot: a push that came first is newer.
function merge(document, overwrite) {
    Object.keys(document).forEach((name) => {
        const zone = ngx.shared['ig_' + name];
        const part = document[name];
        const set = part.set || {};
        Object.keys(set).forEach((key) => {
            if (overwrite) {
                zone.set(key, set[key]);
            } else {
                zone.add(key, set[key]);
            }
        });
        if ((name === 'backends' || name === 'load') && Object.keys(set).length !== 0) {
            ngx.shared.ig_inflight.set('', 1);   // see state.js
        }
        (part.delete || []).forEach((key) => zone.delete(key));
        if (part.replace && overwrite) {
            zone.keys(1000000).forEach((key) => {
                if (set[key] === undefined && key !== LOADED) {
                    zone.delete(key);
                }
            });
        }
    });
}

export default { load, merge };
