// thrown: our own program failed while an answer passes through it. The log says so, and a stream ends with an
// event that does, for nothing else can be said any longer. It is no fault of the backend.
import * as dialect from './dialect.js';

// In place of stream.js's state (answer.js). Throws again where nothing can be added: the connection is closed.
function open(r, e, streaming, flags) {
    if (r.variables.ig_error !== '' || !streaming || streaming.interrupt === undefined) {
        r.variables.ig_error = r.variables.ig_error || 'server_error';
        throw e;
    }
    r.variables.ig_error = 'server_error';
    r.error('an answer was broken off, for the gateway failed on it: ' + (e.stack || e));
    const before = r.variables.bytes_sent;
    streaming.interrupt(dialect.words(500), 'server_error', flags);

    // What comes behind it goes nowhere. When nginx has sent something of what we said, the connection is
    // closed: not before, because nginx drops all that goes out with the piece for which this throws.
    function filter(data, more) {
        if (more.last) {
            r.sendBuffer('', more);
        } else if (r.variables.bytes_sent !== before) {
            throw new Error('an answer was broken off');
        }
        return 0;
    }

    return {
        filter, state: streaming.state, events: streaming.events, tokens: streaming.tokens,
        holding: streaming.holding, failed: () => false,
    };
}

export { open };
