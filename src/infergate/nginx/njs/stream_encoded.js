// stream_encoded: the stream of a backend that compresses though it is asked not to. Nothing in it can be read, and
// nothing added without making all of it unreadable. That it breaks off is the sign then.

// In place of stream.js's state (answer.js). begins: called with its first piece.
function open(r, begins) {
    const state = { failed: '' };
    let called = false;
    let pieces = 0;

    function filter(data, flags) {
        if (data.length !== 0) {
            if (pieces === 0) {
                begins(data);
            }
            pieces++;
        } else if (!flags.last && (called || pieces !== 0)) {
            state.failed = 'stream_truncated';
        }
        called = true;
        r.sendBuffer(data);
        return 0;
    }

    return {
        filter, state, events: () => pieces, tokens: () => undefined, holding: () => undefined,
        failed: () => state.failed !== '',
    };
}

export { open };
