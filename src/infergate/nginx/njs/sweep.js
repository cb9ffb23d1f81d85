// sweep: gives back what a worker held that was killed and could not settle.
import fs from 'fs';

function isRunning(pid) {
    try {
        fs.statSync('/proc/' + pid);
        return true;
    } catch (e) {
        return false;
    }
}

// Every second, in one worker. '<pid>:<backend>' counts what one worker has of '<backend>'.
function sweep() {
    const slots = ngx.shared.ig_inflight;
    const gone = {};
    if (!isRunning('self')) {
        return;
    }
    slots.keys(100000).forEach((key) => {
        const colon = key.indexOf(':');
        if (colon === -1) {
            return;
        }
        const pid = key.slice(0, colon);
        if (gone[pid] === undefined) {
            gone[pid] = !isRunning(pid);
        }
        if (gone[pid]) {
            const held = slots.pop(key);
            if (held) {
                slots.incr(key.slice(colon + 1), -held, 0);
            }
        }
    });
}

export default { sweep };
