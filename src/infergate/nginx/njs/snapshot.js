// snapshot: what the control plane pushed last, from the disk into shared memory.
import fs from 'fs';

const LOADED = '\nloaded';
// In ig_backends: see state.js.
const TROUBLE = '';

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
            ngx.shared.ig_backends.set(TROUBLE, '1');
        }
        (part.delete || []).forEach((key) => zone.delete(key));
        if (part.replace && overwrite) {
            zone.keys(1000000).forEach((key) => {
                if (set[key] === undefined && key !== LOADED && key !== TROUBLE) {
                    zone.delete(key);
                }
            });
        }
    });
}

export default { load, merge };
