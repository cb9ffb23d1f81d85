// limits: how much a key, a model or everybody may ask for. Taken from every bucket or from none.
//
// Rates are GCRA ("leaky bucket as a meter", ITU-T I.371): one number for each bucket, the time at
// which it would be empty again if nothing more came. A minute's worth may come at once; after that
// it drains evenly, so there is no window whose edge lets twice as much through. Tokens are taken by
// an estimate and corrected when the answer says what it used (charge.js).
//
// A bucket: see Bucket in src/infergate/contract/route.py, 0 for no limit.
//
// ig_limits    'r <bucket>' and 't <bucket>' → time in ms
// $ig_charge   what was taken, for charge.js: a line for each bucket of tokens (name, limit, tokens,
//              with tabs between) and for each slot (@name)
//
// Few kinds of built-in functions, because each costs at its first use: see state.js.
import * as charge from './charge.js' with { load: 'lazy' };
import * as measure from './measure.js';
import * as memory from './memory.js' with { load: 'lazy' };
import * as over from './over.js' with { load: 'rare' };
import * as policy from './policy.js';
import * as state from './state.js';
import * as answers from './tokens.js' with { load: 'lazy' };
import * as contract from './contract.js';

// Set aside for the answer of a request that does not say how long it may be.
const USUAL_ANSWER = 256;
// In ms: two times that differ by rounding are the same.
const ROUNDING = 0.5;

function shown(ms) {
    return ms < 1000 ? Math.ceil(ms) + 'ms' : (Math.ceil(ms / 100) / 10) + 's';
}

// OpenAI's headers, for the first bucket that has such a limit. filled: how far it is, in ms.
function tell(headers, what, limit, filled) {
    const left = filled < measure.MINUTE ? limit * (1 - filled / measure.MINUTE) + 1e-6 : 0;
    headers['x-ratelimit-limit-' + what] = limit + '';
    headers['x-ratelimit-remaining-' + what] = (left - left % 1) + '';
    headers['x-ratelimit-reset-' + what] = shown(filled);
}

// The refusal, or undefined when everything was taken. Of a request that is refused, nothing is.
// isQuiet: the client is told of what was taken first.
function take(r, buckets, tokens, isQuiet) {
    const zone = ngx.shared.ig_limits;
    const now = Date.now();
    const times = [];
    let charged = '';
    let i, kind;
    let refused = look(r, buckets, tokens, isQuiet, zone, now, times);
    if (refused !== undefined) {
        return refused;
    }
    try {
        for (i = 0; i < buckets.length && refused === undefined; i++) {
            if (buckets[i][contract.BUCKET_CONCURRENT] !== 0) {
                const all = state.hold('@' + buckets[i][contract.BUCKET_NAME], 1, state.LONG);
                charged += '@' + buckets[i][contract.BUCKET_NAME] + '\n';
                if (all > buckets[i][contract.BUCKET_CONCURRENT]) {
                    refused = crowded(r, buckets[i]);
                }
            }
        }
        for (i = 0; i < buckets.length && refused === undefined; i++) {
            for (kind = contract.BUCKET_REQUESTS; kind <= contract.BUCKET_TOKENS; kind++) {
                if (buckets[i][kind] !== 0) {
                    const line = fill(zone, now, buckets[i], kind, tokens, times[2 * i + kind - 1]);
                    charged += line;
                }
            }
        }
    } catch (e) {
        refused = memory.noRoom(e);
    }
    if (charged !== '') {
        r.variables.ig_charge = charged;
    }
    if (refused !== undefined) {
        giveUp(r, buckets, isQuiet, charged, now);
    }
    return refused;
}

// How full the buckets are, in ms, goes into `times`. The refusal, if there is one that has no room for this.
function look(r, buckets, tokens, isQuiet, zone, now, times) {
    for (let i = 0; i < buckets.length; i++) {
        for (let kind = contract.BUCKET_REQUESTS; kind <= contract.BUCKET_TOKENS; kind++) {
            const limit = buckets[i][kind];
            if (limit === 0) {
                times[2 * i + kind - 1] = 0;
                continue;
            }
            let time = zone.get((kind === contract.BUCKET_REQUESTS ? 'r ' : 't ') + buckets[i][contract.BUCKET_NAME]);
            time = time === undefined || time < now ? 0 : time - now;
            times[2 * i + kind - 1] = time;
            time += (kind === contract.BUCKET_REQUESTS ? 1 : tokens < limit ? tokens : limit) * measure.MINUTE / limit;
            if (i === 0 && isQuiet !== true) {
                tell(r.headersOut, kind === contract.BUCKET_REQUESTS ? 'requests' : 'tokens', limit, time);
            }
            if (time - measure.MINUTE > ROUNDING) {
                return full(r, buckets, i, kind, isQuiet, now, time - measure.MINUTE);
            }
        }
    }
    return undefined;
}

// The refusal for a bucket that is fuller by so many ms than it may be.
function full(r, buckets, i, kind, isQuiet, now, excess) {
    if (isQuiet !== true) {
        over.tell(r.headersOut, buckets[0], now, tell);
    }
    return over.refusal(r, kind === contract.BUCKET_REQUESTS ? 'requests per minute' : 'tokens per minute',
        buckets[i][contract.BUCKET_NAME], buckets[i][kind], excess, shown(excess));
}

function crowded(r, bucket) {
    const refused = over.refusal(r, 'requests at the same time', bucket[contract.BUCKET_NAME],
        bucket[contract.BUCKET_CONCURRENT], 1000, shown(1000));
    refused.code = 'concurrency_limit_exceeded';
    return refused;
}

// Takes from one bucket, which is so many ms full. Returns the line for $ig_charge.
function fill(zone, now, bucket, kind, tokens, time) {
    const limit = bucket[kind];
    const name = (kind === contract.BUCKET_REQUESTS ? 'r ' : 't ') + bucket[contract.BUCKET_NAME];
    const taken = kind === contract.BUCKET_REQUESTS ? 1 : tokens < limit ? tokens : limit;
    if (time === 0) {
        zone.set(name, now + taken * measure.MINUTE / limit);
    } else {
        zone.incr(name, taken * measure.MINUTE / limit, now);
    }
    return kind === contract.BUCKET_TOKENS ? name + '\t' + limit + '\t' + taken + '\n' : '';
}

function giveUp(r, buckets, isQuiet, charged, now) {
    if (isQuiet !== true) {
        over.tell(r.headersOut, buckets[0], now, tell);
    }
    if (charged !== '') {
        charge.settle(r, 0);
    }
}

// Every limit that a request of this key to this route meets. Returns the refusal, or undefined.
function meet(r, keyPolicy, flags, options, request) {
    let buckets = [];
    let most = 0;
    if (flags.indexOf(contract.POLICY_FLAG_BLOCKED) !== -1) {
        const block = policy.more().block(keyPolicy);
        const left = Math.ceil(Number(block[1]) - Date.now() / 1000);
        // Filled again by now: the control plane will say so, if there is one.
        if (left > 0) {
            return { status: 429, code: 'insufficient_quota', message: 'The ' + block[0]
                + ' budget of this API key is used up.', retry_after: left };
        }
    }
    if (flags.indexOf(contract.POLICY_FLAG_LIMITED) !== -1) {
        const numbers = keyPolicy.split('\n', contract.POLICY_LINE_NUMBERS + 1)[contract.POLICY_LINE_NUMBERS].split(',');
        const bytes = numbers[contract.POLICY_NUMBER_BYTES];
        if (bytes !== '0' && request.bytes > bytes) {
            return { status: 413, code: 'prompt_too_large', message: 'This API key may send '
                + bytes + ' bytes; this request has ' + request.bytes + '.' };
        }
        most = numbers[contract.POLICY_NUMBER_MAX_TOKENS] * 1;
        if (numbers[0] + numbers[1] + numbers[2] !== '000') {
            buckets = [[contract.BUCKET_OF_KEY + r.variables.ig_key, numbers[0] * 1, numbers[1] * 1, numbers[2] * 1]];
        }
    }
    if (options !== 0 && options.limits !== undefined) {
        buckets = buckets.concat(options.limits);
    }
    const prompt = Math.ceil(request.bytes / contract.BYTES_PER_TOKEN);
    const said = request.parsed.max_tokens;
    // plain.js saw nothing of tokens.js but a max_tokens, and none that is no number.
    return request.verdict === 'usual' && said !== undefined && most === 0
        ? take(r, buckets, prompt + said)
        : meetTokens(r, buckets, most, prompt, request);
}

// The same for what is to be asked of tokens.js. most: the key's maximum, 0 for none.
function meetTokens(r, buckets, most, prompt, request) {
    if (most === 0 && !buckets.some((bucket) => bucket[contract.BUCKET_TOKENS] !== 0)) {
        return take(r, buckets, 0);
    }
    const asked = answers.asked(r.uri, request, most !== 0);
    if (asked.error) {
        return { status: 400, code: 'invalid_request', message: asked.error, param: asked.param };
    }
    if (most !== 0) {
        if ((asked.each || 1) * asked.answers > most) {
            return { status: 400, code: 'max_tokens_too_large', param: 'max_tokens', message:
                'This API key may ask for ' + most + ' tokens at most, in all answers together.' };
        }
        // relay.js writes it in, unless it is where this endpoint's engines read it.
        request.unbounded = answers.bound(r.uri, request, most) !== undefined;
    }
    const each = asked.each || (most === 0 || most > USUAL_ANSWER ? USUAL_ANSWER : most);
    return take(r, buckets, prompt + each * asked.answers);
}

// The request goes on to another model, by whose limits it counts from now on: tokens and slots of the one
// before are given back, its request is not. to: that route's options. Returns the refusal, or undefined.
function move(r, to, request) {
    const lines = r.variables.ig_charge.split('\n');
    let kept = '';
    lines.forEach((line) => {
        if (line.startsWith('@' + contract.BUCKET_OF_MODEL) || line.startsWith('t ' + contract.BUCKET_OF_MODEL)) {
            charge.giveBackLine(line, 0);
        } else if (line !== '') {
            kept += line + '\n';
        }
    });
    const own = (to.limits || []).filter((bucket) => bucket[contract.BUCKET_NAME].startsWith(contract.BUCKET_OF_MODEL));
    if (own.length === 0) {
        r.variables.ig_charge = kept;
        return undefined;
    }
    const asked = answers.asked(r.uri, request, false);
    r.variables.ig_charge = '';
    const refused = take(r, own, Math.ceil(request.bytes / contract.BYTES_PER_TOKEN)
        + (asked.each || USUAL_ANSWER) * (asked.answers || 1), true);
    r.variables.ig_charge = kept + r.variables.ig_charge;
    return refused;
}

export { meet, take, move };
