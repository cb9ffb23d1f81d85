// memory: what a full zone of shared memory means for the request that met it.
//
// What must be true (who may come in, how many are in flight, who waits, what was taken from limits) is
// taken whole or not at all, and the request is refused: noRoom. What is only good to know (averages,
// breakers, where a conversation went) is not kept then: perhaps.

// njs 0.8.9 throws a plain Error where incr finds no room.
function isFull(e) {
    return e.name === 'SharedMemoryError' || String(e.message).startsWith('failed to increment');
}

// What the step returns; undefined where there is no room for it.
function perhaps(step) {
    try {
        return step();
    } catch (e) {
        refuseOther(e);
        return undefined;
    }
}

// Goes on where a zone is full.
function refuseOther(e) {
    if (!isFull(e)) {
        throw e;
    }
}

// The refusal of a request that found no room. What it took so far is given back by whoever answers
// (refusal.js): it stands in the request's variables.
function noRoom(e) {
    refuseOther(e);
    ngx.log(ngx.ERR, 'a request was refused: shared memory is full; `infergate status` says which zone');
    return { status: 503, code: 'gateway_full', retry_after: 1,
        message: 'The gateway has no memory left for another request of this kind. Try again soon.' };
}

export { isFull, perhaps, refuseOther, noRoom };
