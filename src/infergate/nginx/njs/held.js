// held: what answers hold in memory while they pass through our filter.
//
// njs copies every piece, and frees no copy before the request is over. And nginx, which sees its own
// buffer empty again, reads on from the backend: of a client that reads nothing, the whole answer would
// be here. So what passes is counted, of all answers together. Where that is too much, one goes on
// without the filter: nginx reads no faster than its client then, and its tokens are estimated.

import * as attempts from './attempts.js';

// Bytes that all may hold together; those whose clients do not keep up, a half of it.
const TOGETHER = 33554432, SLOW = 16777216;
// How far a client is behind that does not keep up.
const BEHIND = 131072;
// No model's name has a line break; see ig_inflight in state.js.
const NAME = '/\nheld';

// hold: state.js's.
function open(r, hold) {
    const variables = r.variables;
    let passed = 0;     // bytes that went through the filter
    let taken = 0;      // of what is held together
    let gone = 0;       // bytes that had passed when the filter let it go

    // Whether it is to go on without the filter. more: bytes since the last call.
    function isTooMuch(more) {
        passed = Math.max(passed + more, received());   // a kept answer comes from no backend
        const isSlow = passed - Number(variables.bytes_sent) > BEHIND;
        if (!hasRoom(isSlow ? SLOW : TOGETHER)) {
            gone = passed;
        }
        return gone !== 0;
    }

    function hasRoom(most) {
        const before = taken;
        try {
            taken = passed;
            return hold(NAME, passed - before) <= most;
        } catch (e) {   // the zone is full
            taken = before;
            return false;
        }
    }

    function giveBack() {
        if (taken !== 0) {
            hold(NAME, -taken);
            taken = 0;
        }
    }

    // How much of an answer went through the filter, 1 where all of it did: what was seen of one that was let
    // go stands for the rest.
    function share() {
        return gone === 0 ? 1 : gone / Math.max(received(), gone);
    }

    // Bytes that came from the backend that answered.
    function received() {
        return Number(attempts.last(variables.upstream_bytes_received)) || 0;
    }

    return { isTooMuch, giveBack, share };
}

export { open };
