// late: ends an attempt whose first byte is late, or the piece after a pause. Where nginx's own timeout,
// which is one for both, is too long for one of them (src/infergate/nginx/relays.py).
//
//   relay.js → @relay_…, a proxy ─unix socket─▶ /relay_…/ (attempts.conf) ─▶ the backend
//                                                   └ mirror ─▶ /late ─unix socket─▶ wait
//
// A subrequest waits beside the attempt. If its answer is 403, the attempt ends with it (@closed), and
// awaited.js finds out why. A subrequest cannot be ended by what it waits for: it looks now and then, which
// nobody waits for, because the answer has gone out by then.
//
// ig_late   attempt → WAITING until its first byte is there; then the time of its last piece, in ms, if its
//           pauses are watched; 'late <attempt>' → LATE or CLOSED, of one that ended before its first byte

const WAITING = 0;
const LATE = 1, CLOSED = 2;
// Between two looks, in ms: a fraction of the time so far.
const SHORTEST = 5, LONGEST = 1000, FRACTION = 8;
// A look may come so much later, where the worker has much to do. More is a clock that was set.
const BUSY = 2000;

// The variable $ig_awaited: the request is about to be sent.
function begin(r) {
    ngx.shared.ig_late.set(r.headersIn['x-infergate-attempt'], WAITING);
    return '';
}

// js_header_filter. What was given up already must not begin.
function head(r) {
    const zone = ngx.shared.ig_late;
    const attempt = r.headersIn['x-infergate-attempt'];
    if (!zone.delete(attempt) && zone.has('late ' + attempt)) {
        throw new Error('the answer came after its time');
    }
    if (r.variables.ig_pause_ms !== '0') {
        zone.set(attempt, Date.now());
    }
}

// js_body_filter, where pauses are watched.
function piece(r, data, flags) {
    if (flags.last) {
        ngx.shared.ig_late.delete(r.headersIn['x-infergate-attempt']);
    } else if (data.length !== 0) {
        ngx.shared.ig_late.set(r.headersIn['x-infergate-attempt'], Date.now());
    }
    r.sendBuffer(data, flags);
}

function sleep(ms) {
    return new Promise((resolve) => setTimeout(() => resolve(undefined), ms));
}

// In the internal server. 204: it has begun, or it is over. 403: it is late.
async function wait(r) {
    const zone = ngx.shared.ig_late;
    const attempt = r.headersIn['x-infergate-attempt'];
    const first = Number(r.headersIn['x-infergate-first-ms']);
    const pause = Number(r.headersIn['x-infergate-pause-ms']);
    let seen = zone.get(attempt);
    let waited = 0;   // since the request was sent, or since the last piece
    let before = Date.now();
    while (seen !== undefined) {
        const limit = seen === WAITING ? first : pause;
        if (limit !== 0 && waited >= limit) {
            zone.set('late ' + attempt, LATE);
            if (zone.delete(attempt)) {
                r.return(403);
                return;
            }
            zone.delete('late ' + attempt);
            break;
        }
        const next = Math.min(LONGEST, Math.max(SHORTEST, waited / FRACTION));
        const step = limit === 0 ? next : Math.min(next, limit - waited);
        await sleep(step);
        const passed = Date.now() - before;
        waited += passed >= 0 && passed < BUSY ? passed : step;
        before += passed;
        const now = zone.get(attempt);
        if (now !== seen) {
            waited = 0;
            seen = now;
        }
    }
    r.return(204);
}

// The backend closed the connection after its head, or nginx did, because the time for more was over.
function endedEarly(r, isLate) {
    const attempt = r.headersIn['x-infergate-attempt'];
    ngx.shared.ig_late.delete(attempt);
    ngx.shared.ig_late.set('late ' + attempt, isLate ? LATE : CLOSED);
}

// How an attempt ended before its first byte, where that is known: LATE, CLOSED, or undefined. Said once.
function how(attempt) {
    const zone = ngx.shared.ig_late;
    const found = zone.get('late ' + attempt);
    if (found !== undefined) {
        zone.delete('late ' + attempt);
    }
    return found;
}

export { LATE, CLOSED, begin, head, piece, wait, endedEarly, how };
