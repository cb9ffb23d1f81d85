// aftermath: what some requests leave to do in the log phase. See answer.js.
import breaker from 'breaker.js';
import memory from 'memory.js';
import queue from 'queue.js';   // rarely
import stream from 'stream.js';

function open() {
    // The tokens of a stream, or of an answer whose usage has details or came in pieces.
    // holding: held.js's state, where somebody looked how much there is.
    function usage(r, streaming, tail, holding) {
        const by = holding || (streaming && streaming.holding());
        let found;
        if (by) {
            by.giveBack();
            found = by.estimate(streaming);
        }
        if (found !== undefined) {
            return found;
        }
        if (streaming) {
            found = streaming.usage();
        } else {
            const at = tail.lastIndexOf('"usage"');
            if (at !== -1) {
                found = stream.usageIn(tail.slice(at));
            } else if (tail.indexOf('"eval_count"') !== -1 || tail.indexOf('"prompt_eval_count"') !== -1) {
                found = [stream.number(tail, 'prompt_eval_count'), stream.number(tail, 'eval_count'), 0];
            }
        }
        if (found === undefined && streaming) {
            // It broke off, or the backend does not tell: what came, a token an event.
            found = [Math.ceil(Number(r.variables.request_length) / 4), streaming.state.events, 0, 'counted'];
        }
        return found;
    }

    // What the gateway learns for the next requests: who fails, and how fast answers are.
    function learn(r, backend, streaming, used) {
        const variables = r.variables;
        const waiting = ngx.shared.ig_waiting;
        const circuit = breaker.open();
        if (streaming && streaming.failed()) {
            variables.ig_error = streaming.state.failed;
            circuit.failed(backend, false, r.uri, variables.ig_model);
        } else if (r.status >= 500) {
            circuit.failed(backend, false, r.uri, variables.ig_model);
        } else if (r.status !== 499 && ngx.shared.ig_breakers.get(backend) !== undefined) {
            circuit.succeeded(backend);
        }
        if (waiting.get('') > 0) {
            average(waiting, 'd ' + variables.ig_model, Number(variables.upstream_response_time) * 1000);
            queue.slotFreed();
        }
        if (used !== undefined && used[1] > 15) {
            average(ngx.shared.ig_turns, 'speed ' + variables.ig_model, used[1] / Number(variables.request_time));
        }
    }

    // A moving average over about ten values.
    function average(zone, key, value) {
        if (value > 0 && value < Infinity) {
            const known = zone.get(key);
            memory.perhaps(() => zone.set(key, known === undefined ? value : known * 0.9 + value * 0.1));
        }
    }

    return { usage, learn };
}

export default { open };
