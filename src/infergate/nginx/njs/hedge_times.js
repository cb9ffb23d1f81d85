// hedge_times: when a first answer is late, and how many second requests there may be.
//
// ig_hedge   'n <kind> <model>' → answers measured; 'b <kind> <model> <i>' → those that took about
//            2^(i/4) ms; 'p <kind> <model>' → their 95th percentile, in ms
// ig_turns   'hedge <model>' → requests; 'hedged <model>' → at which of them one may be hedged again

import * as contract from './contract.js';
import * as memory from './memory.js';

// Fewer say nothing about a 95th percentile. From MOST on all counts are halved, so the old fade.
const ENOUGH = 20, MOST = 400;
const QUANTILE = 0.95;
// Four buckets for each doubling: a bucket's edge is at most 19 % above what is in it. The last is an
// hour, the longest timeout there is.
const FOR_EACH_DOUBLING = 4;
// What takes less is the jitter of nginx's timers, which count in ms, and of a busy machine.
const SOONEST = 5;
// The percentile is computed anew for each so many answers: it looks at all buckets, 20 µs.
const EVERY = 8;

function open(model, kind) {
    const zone = ngx.shared.ig_hedge;
    const turns = ngx.shared.ig_turns;
    const id = kind + ' ' + model;

    // The first backend's answer took so many ms, or was not there when the second's came.
    function measured(ms) {
        const bucket = ms <= 1 ? 0 : Math.min(contract.HEDGE_BUCKETS, Math.ceil(Math.log(ms) / Math.LN2 * FOR_EACH_DOUBLING));
        const count = memory.perhaps(() => {
            zone.incr('b ' + id + ' ' + bucket, 1, 0);
            return zone.incr('n ' + id, 1, 0);
        });
        if (count >= ENOUGH && count % EVERY === ENOUGH % EVERY) {
            memory.perhaps(() => summarize(count >= MOST));
        }
    }

    function summarize(fade) {
        const counts = [];
        let sum = 0;
        for (let i = 0; i <= contract.HEDGE_BUCKETS; i++) {
            let count = zone.get('b ' + id + ' ' + i) || 0;
            if (fade && count > 0) {
                const half = Math.floor(count / 2);
                zone.incr('b ' + id + ' ' + i, half - count, 0);
                count = half;
            }
            counts.push(count);
            sum += count;
        }
        if (fade) {
            zone.set('n ' + id, sum);
        }
        let below = 0;
        let at = 0;
        while (at < contract.HEDGE_BUCKETS && (below += counts[at]) < QUANTILE * sum) {
            at++;
        }
        zone.set('p ' + id, Math.max(SOONEST, Math.ceil(Math.pow(2, at / FOR_EACH_DOUBLING))));
    }

    // After how many ms an answer is late; undefined as long as too few were measured.
    function late() {
        return zone.get('p ' + id);
    }

    // A request of the model that may be hedged.
    function count() {
        memory.perhaps(() => turns.incr('hedge ' + model, 1, 0));
    }

    // Whether a second request may be sent, and if so, counted as sent. They are at least 1 / share
    // requests apart; so of any n requests in a row at most n × share + 1 are sent twice.
    function mayHedge(share) {
        const locks = ngx.shared.ig_locks;
        if (memory.perhaps(() => locks.add('hedge ' + model, 1)) !== true) {   // another worker asks at this moment
            return false;
        }
        const now = turns.get('hedge ' + model) || 0;
        // Where it cannot be counted it is not done.
        const may = now >= (turns.get('hedged ' + model) || 0)
            && memory.perhaps(() => turns.set('hedged ' + model, now + 1 / share)) !== undefined;
        locks.delete('hedge ' + model);
        return may;
    }

    return { measured, late, count, mayHedge };
}

export { open };
