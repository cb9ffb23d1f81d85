// wait: a ticket waits for its turn, in the internal server. See queue.js.
import * as queue from './queue.js';

// Between two looks: short for few, so that a free slot is not idle; longer for many, who look in
// turn anyway.
const SHORTEST = 4, LONGEST = 60;
// Slots can also become free by what nobody counts: a backend that comes up.
const LOOK_ANYWAY = 250;

// A pause may last so much longer, where the worker has much to do. More is a clock that was set.
const BUSY = 2000;

function sleep(ms) {
    return new Promise((resolve) => setTimeout(resolve, ms, undefined));
}

async function wait(r) {
    const id = r.headersIn['x-infergate-ticket'];
    const patience = Number(r.headersIn['x-infergate-patience']);
    let waited = 0;   // ms
    let before = Date.now();
    const zone = ngx.shared.ig_queue;
    const waiting = ngx.shared.ig_waiting;
    let seen = -1;
    let looked = 0;
    for (;;) {
        const freed = waiting.get('freed') || 0;
        if (freed !== seen || waited - looked > LOOK_ANYWAY) {
            seen = freed;
            looked = waited;
            queue.handOut();
        }
        // Without a ticket it has a slot (queue.js gives it before it takes the ticket), or its client left.
        if (zone.get('t ' + id) === undefined || waited > patience) {
            break;
        }
        const pause = Math.min(LONGEST, SHORTEST + (waiting.get('') || 0) / 8);
        await sleep(pause);
        // nginx's timers go by a clock that nobody sets; a second timer for all of the wait ends the
        // request with a 500 in njs 0.8.9.
        const passed = Date.now() - before;
        waited += passed >= 0 && passed < BUSY ? passed : pause;
        before += passed;
    }
    r.headersOut['X-Accel-Redirect'] = '@granted';
    r.return(204);
}

export { wait };
