// owed: the tokens that a request makes a backend read, for as long as it has not read them (work.js).
//
// They stand in $ig_owed from the moment they are counted, as the slot does in $ig_backend, so whoever gives the slot
// back gives them back, once: a variable of a file would be another one after a redirect. What a killed worker had
// counted, sweep.js gives back. That all of a prompt was read shows in the first piece of a stream. An answer in one
// piece does not tell, so what it owes leaks away, at half the engine's speed: at all of it, engines that are
// behind would seem idle.
//
// $ig_owed   '<pending> <prompt> <until> <ms> <backend>': tokens; when what is not streamed has leaked, and how long
//            that takes. In all functions, hold is state.js's.
import * as memory from './memory.js';

// A body of fewer bytes counts as a request and not by its tokens, which take a tenth of a second at most.
const SMALL = 2048;
const LEAK = 0.5;

// Tokens that are pending for answers that are not streamed. speed: tokens in a ms.
function unstreamed(slots, name, speed, now) {
    const until = slots.get('<' + name);
    return until === undefined || until <= now ? 0 : Math.round((until - now) * speed * LEAK);
}

function owe(r, name, uncached, prompt, speed, isStreamed, hold) {
    settle(r, hold);
    const held = memory.perhaps(() => hold('=' + name, prompt)) === undefined ? 0 : prompt;
    let pending = 0;
    let until = 0;
    const ms = isStreamed ? 0 : Math.round(uncached / (speed * LEAK));
    if (!isStreamed) {
        until = memory.perhaps(() => leakBy(name, ms)) || 0;
    } else if (memory.perhaps(() => hold('+' + name, uncached)) !== undefined) {
        pending = uncached;
    }
    r.variables.ig_owed = pending + ' ' + held + ' ' + until + ' ' + ms + ' ' + name;
}

// Returns when it is empty.
function leakBy(name, ms) {
    const slots = ngx.shared.ig_inflight;
    const until = slots.get('<' + name) || 0;
    const now = Date.now();
    return slots.incr('<' + name, Math.max(0, now - until) + ms, 0);
}

// The first piece of a stream came.
function begun(r, hold) {
    const owed = r.variables.ig_owed.split(' ');
    if (owed.length === 5 && owed[0] !== '0') {
        r.variables.ig_owed = '0 ' + owed.slice(1).join(' ');
        hold('+' + owed[4], -Number(owed[0]));
    }
}

// The request is over there, however it ended.
function settle(r, hold) {
    const text = r.variables.ig_owed;
    if (text === '') {
        return;
    }
    const owed = text.split(' ');
    r.variables.ig_owed = '';
    if (owed[0] !== '0') {
        hold('+' + owed[4], -Number(owed[0]));
    }
    if (owed[1] !== '0') {
        hold('=' + owed[4], -Number(owed[1]));
    }
    const early = Math.min(Number(owed[3]), Number(owed[2]) - Date.now());
    if (early > 0) {
        ngx.shared.ig_inflight.incr('<' + owed[4], -early, 0);
    }
}

export { SMALL, unstreamed, owe, begun, settle };
