// over: what a request is told that is over a limit.
import * as measure from './measure.js';

// wait: in ms; inWords: the same. ledger/measures.py reads in the log which limit it was.
function refusal(r, what, bucket, limit, wait, inWords) {
    const owner = bucket[0] === 'k' ? 'this API key' : bucket[0] === 'm' ? 'this model' : 'this gateway';
    r.variables.ig_why += 'over ' + limit + ' ' + what + ' of ' + owner + ';';
    return {
        status: 429,
        code: 'rate_limit_exceeded',
        message: 'Rate limit reached: ' + limit + ' ' + what + ' for ' + owner + '. Try again in ' + inWords + '.',
        retry_after: Math.max(1, Math.ceil(wait / 1000)),
    };
}

// OpenAI's headers, as far as the bucket is without this request, of which nothing was taken. say: limits.js's
// tell.
function tell(headers, bucket, now, say) {
    for (let kind = measure.REQUESTS; kind <= measure.TOKENS; kind++) {
        if (bucket[kind] !== 0) {
            const time = ngx.shared.ig_limits.get((kind === measure.REQUESTS ? 'r ' : 't ') + bucket[0]);
            const filled = time === undefined || time < now ? 0 : Math.min(time - now, measure.MINUTE);
            say(headers, kind === measure.REQUESTS ? 'requests' : 'tokens', bucket[kind], filled);
        }
    }
}

export { refusal, tell };
