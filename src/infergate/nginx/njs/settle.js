// settle: what happens when an answer is over, however it ended.
import fs from 'fs';
import state from 'state.js';

// Named last in the log format, so it runs in the log phase exactly once, also when the client
// left. It adds nothing to the line.
function settle(r) {
    const backend = r.variables.ig_backend;
    if (backend) {
        state.release(backend);
    }
    return '';
}

function isRunning(pid) {
    try {
        fs.statSync('/proc/' + pid);
        return true;
    } catch (e) {
        return false;
    }
}

// Every second in one worker: gives back what a worker held that was killed and could not settle.
function sweep() {
    if (!isRunning('self')) {
        return;
    }
    const holders = state.holders();
    Object.keys(holders).forEach((pid) => {
        if (!isRunning(pid)) {
            state.forfeit(pid, holders[pid]);
        }
    });
}

export default { settle, sweep };
