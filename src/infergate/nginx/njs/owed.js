// owed: the tokens that a request makes a backend read, for as long as it has not read them (work.js).
//
// They stand in $ig_owed from the moment they are counted, as the slot does in $ig_backend, so whoever gives the slot
// back gives them back, once: a variable of a file would be another one after a redirect. What a killed worker had
// counted, sweep.js gives back. That all of a prompt was read shows in the first piece of a stream. An answer in one
// piece does not tell, so what it owes leaks away.
//
// $ig_owed   '<owed> <until> <ms> <backend>': OWED_PENDING times the tokens that are pending, and those in flight; when
//            what is not streamed has leaked, and how long that takes. In all functions, hold is state.js's.
import * as contract from './contract.js';

// The request is over there, however it ended; or the first piece of its stream came: then its prompt is in flight
// until it is over.
function settle(r, hold, isBegun) {
    const owed = r.variables.ig_owed.split(' ');
    const name = owed[3];
    if (name === undefined) {
        return;
    }
    const rest = isBegun ? Number(owed[0]) % contract.OWED_PENDING : 0;
    r.variables.ig_owed = isBegun ? rest + ' 0 0 ' + name : '';
    hold('+' + name, rest - Number(owed[0]));
    if (owed[1] !== '0') {
        const left = Number(owed[1]) - Date.now();
        if (left > 0) {
            ngx.shared.ig_inflight.incr('<' + name, -Math.min(left, Number(owed[2])), 0);
        }
    }
}

export { settle };
