// charge: what a request took from its limits (limits.js), settled when it is over.

// tokens: what it really used; undefined if it never reached a backend and used none.
function settle(r, tokens) {
    const text = r.variables.ig_charge;
    if (text === '') {
        return;
    }
    r.variables.ig_charge = '';
    const held = JSON.parse(text);
    const slots = ngx.shared.ig_inflight;
    held[0].forEach((name) => {
        slots.incr(process.pid + ':' + name, -1, 0);
        slots.incr(name, -1, 0);
    });
    held[1].forEach((each) => {
        ngx.shared.ig_limits.incr('t ' + each[0], ((tokens || 0) - each[2]) * 60000 / each[1], Date.now());
    });
}

export default { settle };
