// charge: what a request took from its limits (limits.js), settled when it is over.
//
// ig_inflight   '@<bucket>' → requests at the same time; '<pid>:@<bucket>' → those of one worker
//
// There can be more keys than the zone has room for, so what is back at zero goes. To delete it would
// lose what another worker adds between our look and the delete. So whoever takes from an entry gives it
// an end, in the same step that tells what is left; whoever adds to it takes the end away; and who finds
// that something is left takes it back itself, and looks again whether that is still so. Only a worker that stands still for SOON between
// these two steps could lose a count, and then nothing goes below zero.
import * as measure from './measure.js';
import * as memory from './memory.js' with { load: 'lazy' };
import * as state from './state.js';

const SOON = 10000;   // ms

// count: 0 for an entry that may be at zero already.
function giveBack(name, count) {
    const zone = state.slots();
    let left = zone.incr(name, -count, 0, SOON);
    if (left < 0) {
        left = zone.incr(name, left + count < 0 ? count : -left, 0, SOON);
    }
    while (left !== 0) {
        left = zone.incr(name, 0, 0, state.LONG);
        if (left !== 0) {
            return;
        }
        left = zone.incr(name, 0, 0, SOON);
    }
}

// tokens: what it really used; undefined if it never reached a backend and used none.
function settle(r, tokens) {
    const text = r.variables.ig_charge;
    if (text === '') {
        return;
    }
    r.variables.ig_charge = '';
    const lines = text.split('\n');
    let i = 0;
    while (i < lines.length - 1) {
        try {   // one for all lines
            for (; i < lines.length - 1; i++) {
                giveBackLine(lines[i], tokens);
            }
        } catch (e) {   // an entry that was lost needs room again
            memory.noRoom(e);
            i++;
        }
    }
}

function giveBackLine(line, tokens) {
    if (line[0] === '@') {
        state.slots();
        giveBack(state.worker + line, 1);
        giveBack(line, 1);
    } else {
        const parts = line.split('\t');
        // At most the limit, as for what was taken: whatever a backend tells, a minute pays for it.
        const used = tokens > 0 ? (tokens < parts[1] * 1 ? tokens : parts[1]) : 0;
        ngx.shared.ig_limits.incr(parts[0], (used - parts[2]) * measure.MINUTE / parts[1], Date.now());
    }
}

export { giveBack, giveBackLine, settle };
