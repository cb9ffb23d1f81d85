// settle: the answer is over, however it ended. Named last in the log format, so it runs in the
// log phase exactly once, also when the client left; it adds nothing to the line. It stands alone
// because the log phase loads it into an engine of its own: see snippets/relay.conf.
function settle(r) {
    const backend = r.variables.ig_backend;
    if (backend) {
        const slots = ngx.shared.ig_inflight;
        slots.incr(backend, -1, 0);
        slots.incr(process.pid + ':' + backend, -1, 0);
    }
    return '';
}

export default { settle };
