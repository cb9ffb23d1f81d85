// pace: how long a model takes for a token, as far as its answers tell. Long answers get their time by it.
//
// ig_turns   'pace <model>' → ms for a token, more than 95 of 100 answers needed; 'paces <model>' → how many
//            answers were looked at
//
// The slowest of the first answers counts, then each slower one raises the value by UP, and each faster one
// lowers it by DOWN: it rests where one of twenty is slower. So 140 fast answers halve it, one does nothing.
import * as memory from './memory.js';

// An answer of so few tokens tells how long it waited, and not how fast the model is. Of those of up to LONG
// one in eight is looked at, by the clock: to look takes 5 µs.
const SHORT = 31, LONG = 511;
// Fewer answers say nothing.
const ENOUGH = 8;
const UP = 1.095, DOWN = 0.995;

function open() {
    function learn(model, ms) {
        if (!(ms > 0 && ms < Infinity)) {
            return;
        }
        const turns = ngx.shared.ig_turns;
        memory.perhaps(() => {
            const known = turns.get('pace ' + model);
            const next = turns.incr('paces ' + model, 1, 0) <= ENOUGH ? Math.max(known || 0, ms)
                : known * (ms > known ? UP : DOWN);
            turns.set('pace ' + model, next);
        });
    }

    // undefined before enough answers came.
    function of(model) {
        const turns = ngx.shared.ig_turns;
        return turns.get('paces ' + model) >= ENOUGH ? turns.get('pace ' + model) : undefined;
    }

    return { learn, of };
}

export { SHORT, LONG, open };
