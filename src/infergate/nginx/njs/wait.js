// wait: a ticket waits for its turn, in the internal server. See queue.js.
import queue from 'queue.js';

// Between two looks: short for few, so that a free slot is not idle; longer for many, who look in
// turn anyway.
const SHORTEST = 4, LONGEST = 60;
// Slots can also become free by what nobody counts: a backend that comes up.
const LOOK_ANYWAY = 250;

function sleep(ms) {
    return new Promise((resolve) => setTimeout(resolve, ms));
}

async function wait(r) {
    const id = r.headersIn['x-infergate-ticket'];
    let over = false;
    // nginx's timers go by a clock that nobody sets.
    const end = setTimeout(() => { over = true; }, Number(r.headersIn['x-infergate-patience']));
    const zone = ngx.shared.ig_queue;
    const waiting = ngx.shared.ig_waiting;
    let seen = -1;
    let looked = 0;
    for (;;) {
        const now = Date.now();
        const freed = waiting.get('freed') || 0;
        if (freed !== seen || now - looked > LOOK_ANYWAY) {
            seen = freed;
            looked = now;
            queue.handOut();
        }
        // Without a ticket it has a slot (queue.js gives it before it takes the ticket), or its client left.
        if (zone.get('t ' + id) === undefined || over) {
            break;
        }
        await sleep(Math.min(LONGEST, SHORTEST + (waiting.get('') || 0) / 8));
    }
    if (!over) {   // of a timer that has ended, njs makes an error
        clearTimeout(end);
    }
    r.headersOut['X-Accel-Redirect'] = '@granted';
    r.return(204);
}

export default { wait };
