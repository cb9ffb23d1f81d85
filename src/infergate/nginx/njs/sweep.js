// sweep: gives back what a worker held that was killed and could not settle.
import fs from 'fs';
import * as charge from './charge.js';
import * as clock from './clock.js';
import * as queue from './queue.js';

function isRunning(pid) {
    try {
        fs.statSync('/proc/' + pid);
        return true;
    } catch (e) {
        return false;
    }
}

// Whether anybody has to look at the backends' conditions: see state.js.
function noteTrouble() {
    const shared = ngx.shared;
    const flagged = shared.ig_inflight.get('') !== undefined;
    const trouble = shared.ig_backends.size() + shared.ig_breakers.size() + shared.ig_load.size() > 0;
    if (trouble && !flagged) {
        shared.ig_inflight.set('', 1);
    } else if (flagged && !trouble) {
        shared.ig_inflight.delete('');
    }
}

// Every second, in one worker. A step that fails keeps none of the others from being done.
function sweep() {
    [moved, noteTrouble, tellRevision, sweepQueue, giveBackOfGone].forEach((step) => {
        try {
            step();
        } catch (e) {
            ngx.log(ngx.ERR, 'sweep: ' + step.name + ': ' + e);
        }
    });
}

function moved() {
    clock.moved(Date.now());
}

function tellRevision() {
    ngx.shared.ig_ended.set('revision', String(settings.revision));   // see watch.js
}

function sweepQueue() {
    if (ngx.shared.ig_waiting.get('') > 0 || ngx.shared.ig_queue.size() > 0) {
        queue.sweep();
    }
}

// '<pid>:<backend>' counts what one worker has of '<backend>'.
function giveBackOfGone() {
    const slots = ngx.shared.ig_inflight;
    const gone = {};
    if (!isRunning('self')) {
        return;
    }
    const isGone = (key) => {
        const pid = key.slice(0, Math.max(0, key.indexOf(':')));
        if (pid === '' || isNaN(Number(pid))) {   // a bucket of limits.js may have a colon of its own
            return false;
        }
        return gone[pid] === undefined ? gone[pid] = !isRunning(pid) : gone[pid];
    };
    slots.keys(1000000).filter(isGone).forEach((key) => {
        // Not pop: of a zone with a timeout it says undefined, for it looks when the entry ends after it
        // has taken it out (njs 0.8.9 and 0.9.9).
        const held = slots.get(key);
        slots.delete(key);
        const name = key.slice(key.indexOf(':') + 1);
        if (held > 0 && name[0] === '@') {
            charge.giveBack(name, held);
        } else if (held > 0) {
            slots.incr(name, -held, 0);
        }
    });
}

export { sweep };
