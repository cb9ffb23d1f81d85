// charge: what a request took from its limits (limits.js), settled when it is over.
import state from 'state.js';

const MINUTE = 60000;

// tokens: what it really used; undefined if it never reached a backend and used none.
function settle(r, tokens) {
    const text = r.variables.ig_charge;
    if (text === '') {
        return;
    }
    r.variables.ig_charge = '';
    const lines = text.split('\n');
    for (let i = 0; i < lines.length - 1; i++) {
        if (lines[i][0] === '@') {
            state.hold(lines[i], -1);
        } else {
            const parts = lines[i].split('\t');
            ngx.shared.ig_limits.incr(parts[0], ((tokens || 0) - parts[2]) * MINUTE / parts[1], Date.now());
        }
    }
}

export default { settle };
