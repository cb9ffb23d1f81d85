// limits: how much a key, a model or everybody may ask for. Taken from every bucket or from none.
//
// Rates are GCRA ("leaky bucket as a meter", ITU-T I.371): one number for each bucket, the time at
// which it would be empty again if nothing more came. A minute's worth may come at once; after that
// it drains evenly, so there is no window whose edge lets twice as much through. Tokens are taken by
// an estimate and corrected when the answer says what it used (settle in answer.js).
//
// ig_limits    'r <bucket>' and 't <bucket>' → time in ms
// ig_inflight  '@<bucket>' → requests at the same time; see state.js
import policy from 'policy.js';
import state from 'state.js';

const MINUTE = 60000;
const REQUESTS = 1, TOKENS = 2, CONCURRENT = 3;

// OpenAI's rule of thumb: a token is about four bytes of text.
const BYTES_PER_TOKEN = 4;
// Set aside for the answer of a request that does not say how long it may be.
const USUAL_ANSWER = 256;

function open() {
    function level(id, now) {
        const time = ngx.shared.ig_limits.get(id);
        return time === undefined || time < now ? 0 : time - now;
    }

    function add(id, ms, now) {
        const zone = ngx.shared.ig_limits;
        const time = zone.get(id);
        if (time === undefined || time < now) {
            zone.set(id, now + ms);
        } else {
            zone.incr(id, ms, now);
        }
    }

    function shown(ms) {
        return ms < 1000 ? Math.ceil(ms) + 'ms' : (Math.ceil(ms / 100) / 10) + 's';
    }

    // OpenAI's headers, for the first bucket that has such a limit.
    function tell(r, what, limit, used, level_ms) {
        const headers = r.headersOut;
        headers['x-ratelimit-limit-' + what] = String(limit);
        headers['x-ratelimit-remaining-' + what] = String(Math.max(0, Math.floor(limit - used)));
        headers['x-ratelimit-reset-' + what] = shown(level_ms);
    }

    function refusal(what, bucket, limit, wait) {
        const owner = bucket[0] === 'k' ? 'this API key' : bucket[0] === 'm' ? 'this model' : 'this gateway';
        return {
            status: 429,
            code: 'rate_limit_exceeded',
            message: 'Rate limit reached: ' + limit + ' ' + what + ' for ' + owner
                + '. Try again in ' + shown(wait) + '.',
            retry_after: Math.max(1, Math.ceil(wait / 1000)),
        };
    }

    // bytes: of the body; answer: the max_tokens it asks for.
    function estimate(bytes, answer) {
        return Math.ceil(bytes / BYTES_PER_TOKEN) + (answer || USUAL_ANSWER);
    }

    // The refusal, or undefined when everything was taken. buckets: [[name, requests, tokens, concurrent]].
    function take(r, buckets, tokens) {
        const now = Date.now();
        const held = [];
        const charged = [];
        let wait = 0;
        let i;

        for (i = 0; i < buckets.length; i++) {
            const bucket = buckets[i];
            const name = bucket[0];
            if (bucket[REQUESTS] !== 0) {
                const step = MINUTE / bucket[REQUESTS];
                const before = level('r ' + name, now);
                if (i === 0) {
                    tell(r, 'requests', bucket[REQUESTS], Math.min(before + step, MINUTE) / step, before + step);
                }
                wait = before + step - MINUTE;
                if (wait > 0.5) {
                    return refusal('requests per minute', name, bucket[REQUESTS], wait);
                }
            }
            if (bucket[TOKENS] !== 0) {
                const wanted = Math.min(tokens, bucket[TOKENS]);
                const before = level('t ' + name, now);
                const after = before + wanted * MINUTE / bucket[TOKENS];
                if (i === 0) {
                    tell(r, 'tokens', bucket[TOKENS], Math.min(after, MINUTE) * bucket[TOKENS] / MINUTE, after);
                }
                wait = after - MINUTE;
                if (wait > 0.5) {
                    return refusal('tokens per minute', name, bucket[TOKENS], wait);
                }
            }
        }
        for (i = 0; i < buckets.length; i++) {
            const limit = buckets[i][CONCURRENT];
            if (limit !== 0) {
                if (state.hold('@' + buckets[i][0], 1) > limit) {
                    state.hold('@' + buckets[i][0], -1);
                    held.forEach((name) => state.hold(name, -1));
                    const refused = refusal('requests at the same time', buckets[i][0], limit, 1000);
                    refused.code = 'concurrency_limit_exceeded';
                    return refused;
                }
                held.push('@' + buckets[i][0]);
            }
        }
        for (i = 0; i < buckets.length; i++) {
            const bucket = buckets[i];
            if (bucket[REQUESTS] !== 0) {
                add('r ' + bucket[0], MINUTE / bucket[REQUESTS], now);
            }
            if (bucket[TOKENS] !== 0) {
                add('t ' + bucket[0], Math.min(tokens, bucket[TOKENS]) * MINUTE / bucket[TOKENS], now);
                charged.push([bucket[0], bucket[TOKENS], Math.min(tokens, bucket[TOKENS])]);
            }
        }
        if (held.length !== 0 || charged.length !== 0) {
            r.variables.ig_charge = JSON.stringify([held, charged]);
        }
        return undefined;
    }

    // Every limit that a request of this key to this route meets. Returns the refusal, or undefined.
    function meet(r, keyPolicy, flags, options, request) {
        const key = r.variables.ig_key;
        const buckets = [];
        if (flags.indexOf('b') !== -1) {
            const block = policy.more().block(keyPolicy);
            const left = Math.ceil(Number(block[1]) - Date.now() / 1000);
            // Filled again by now: the control plane will say so, if there is one.
            if (left > 0) {
                return { status: 429, code: 'insufficient_quota', message: 'The ' + block[0]
                    + ' budget of this API key is used up.', retry_after: left };
            }
        }
        if (flags.indexOf('l') !== -1) {
            const numbers = policy.more().numbers(keyPolicy);
            if (numbers[3] !== 0 && request.bytes > numbers[3]) {
                return { status: 413, code: 'prompt_too_large', message: 'This API key may send '
                    + numbers[3] + ' bytes; this request has ' + request.bytes + '.' };
            }
            if (numbers[4] !== 0 && request.max_tokens > numbers[4]) {
                return { status: 400, code: 'max_tokens_too_large', param: 'max_tokens', message:
                    'This API key may ask for ' + numbers[4] + ' tokens at most.' };
            }
            if (numbers[0] + numbers[1] + numbers[2] !== 0) {
                buckets.push(['k ' + key, numbers[0], numbers[1], numbers[2]]);
            }
        }
        const all = options.limits === undefined ? buckets : buckets.concat(options.limits);
        return all.length === 0 ? undefined : take(r, all, estimate(request.bytes, request.max_tokens));
    }

    return { meet };
}

export default { open };
