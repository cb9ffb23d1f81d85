// clock: the machine's clock was set. What is kept as a time of day is moved along, so that nothing that
// was to last a minute lasts an hour: limits, breakers, marks of failed backends, places in the queue.
//
// ig_waiting   'clock' → when sweep.js looked last
import * as breaker from './breaker.js';
import * as contract from './contract.js';
import * as queue from './queue.js';

// Less is no step: a worker that was busy looks late. In ms.
const BACK = 1000, FORWARD = 5000;

function moved(now) {
    const waiting = ngx.shared.ig_waiting;
    const last = waiting.get('clock');
    waiting.set('clock', now);
    const step = last === undefined ? 0 : now - last;
    if (step >= -BACK && step <= FORWARD) {
        return;
    }
    ngx.log(ngx.WARN, 'the clock was set by ' + Math.round(step / 1000) + ' s');
    queue.move(step);
    if (step < 0) {   // forward they only end sooner
        limits(step);
        breaker.open().move(step);
        leaks(step);
        marks(step);
    }
}

function limits(step) {
    const zone = ngx.shared.ig_limits;
    zone.keys(1000000).forEach((key) => zone.incr(key, step));
}

// What prompts owe that nobody hears the first token of: owed.js.
function leaks(step) {
    const zone = ngx.shared.ig_inflight;
    zone.keys(1000000).filter((key) => key[0] === '<').forEach((key) => zone.incr(key, step));
}

function marks(step) {
    const zone = ngx.shared.ig_backends;
    zone.items(100000).forEach((item) => {
        if (item[1].startsWith(contract.AGAINST_FAILED_UNTIL)) {
            zone.replace(item[0], contract.AGAINST_FAILED_UNTIL + (Number(item[1].slice(contract.AGAINST_FAILED_UNTIL.length)) + step));
        }
    });
}

export { moved };
