// snapshot: what the control plane pushed last, from the disk into shared memory.
import fs from 'fs';
import * as memory from './memory.js' with { load: 'rare' };

// Entry of a zone that says that its snapshot was loaded. A zone whose size changed is a new one after
// a reload, and empty; routes and catalog have one size (nginx/zones.py), so one mark for both.
const LOADED = '\nloaded';
const MARKED = 'keys catalog';

// So many new entries are tried in a zone that is full: nginx logs each that has no room.
const TRIED = 16;

// Loads the snapshots, unless that was done. Returns whether this call did.
function load() {
    const missing = MARKED.split(' ').filter((name) => ngx.shared['ig_' + name].get(LOADED) === undefined);
    if (missing.length === 0) {
        return false;
    }
    settings.snapshots.forEach(loadFile);
    missing.forEach((name) => put(ngx.shared['ig_' + name], LOADED, '1'));
    return true;
}

// A push that came first is newer than what is read here, so nothing is overwritten. But what was
// written while we read may have ended what we just put back: then it is read again, and holds.
function loadFile(path) {
    try {
        for (let again = false; ; again = true) {
            const before = stampOf(path);
            const full = merge(JSON.parse(fs.readFileSync(path, 'utf8')), again);
            if (stampOf(path) === before) {
                Object.keys(full).forEach((name) => ngx.log(ngx.ERR, 'the zone ig_' + name + ' is full: '
                    + full[name] + ' entries of ' + path + ' were not loaded'));
                return;
            }
        }
    } catch (e) {
        if (e.code !== 'ENOENT') {   // ENOENT: nothing was ever pushed
            ngx.log(ngx.ERR, 'the snapshot ' + path + ' was not loaded: ' + e);
        }
    }
}

function stampOf(path) {
    const found = fs.statSync(path);
    return found.ino + ' ' + found.size + ' ' + found.mtimeMs;
}

// Brings shared memory to what the document says, zone by zone:
// { keys | routes | catalog | backends | load | engines | breakers: { replace: bool, set: {key: value}, delete: [key] } }.
// overwrite is false for a snapshot. What ends comes first, in every zone: that needs no memory, so it
// holds whatever fails after it. Returns what had no room: { zone: how many entries }, {} if all had.
function merge(document, overwrite) {
    const full = {};
    Object.keys(document).forEach((name) => end(ngx.shared['ig_' + name], document[name], overwrite));
    Object.keys(document).forEach((name) => {
        const zone = ngx.shared['ig_' + name];
        const set = document[name].set || {};
        Object.keys(set).forEach((key) => {
            if (full[name] > TRIED && zone.get(key) === undefined) {
                full[name]++;
            } else if (!(overwrite ? put(zone, key, set[key]) : addTo(zone, key, set[key]))) {
                full[name] = (full[name] || 0) + 1;
            }
        });
        if ((name === 'backends' || name === 'load' || name === 'breakers') && Object.keys(set).length !== 0) {
            put(ngx.shared.ig_inflight, '', 1);   // see state.js
        }
    });
    return full;
}

function end(zone, part, overwrite) {
    (part.delete || []).forEach((key) => zone.delete(key));
    if (part.replace && overwrite) {
        const set = part.set || {};
        zone.keys(1000000).forEach((key) => {
            if (set[key] === undefined && key !== LOADED) {
                zone.delete(key);
            }
        });
    }
}

// Whether there was room. Where there is none, the old value goes too: it may allow what the new one
// does not.
function put(zone, key, value) {
    try {
        zone.set(key, value);
        return true;
    } catch (e) {
        memory.refuseOther(e);
    }
    zone.delete(key);
    return addTo(zone, key, value);
}

function addTo(zone, key, value) {
    try {
        zone.add(key, value);   // false: it is there
        return true;
    } catch (e) {
        memory.refuseOther(e);
        return false;
    }
}

export { load, merge };
