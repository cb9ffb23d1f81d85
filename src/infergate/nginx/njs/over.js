// over: what a request is told that is over a limit.
import * as contract from './contract.js';
import * as measure from './measure.js';

// wait: in ms; inWords: the same. ledger/measures.py reads in the log which limit it was.
function refusal(r, what, bucket, limit, wait, inWords) {
    const owner = bucket.startsWith(contract.BUCKET_OF_KEY) ? contract.WHY_THIS_KEY
        : bucket.startsWith(contract.BUCKET_OF_MODEL) ? contract.WHY_THIS_MODEL : contract.WHY_THIS_GATEWAY;
    r.variables.ig_why += contract.WHY_OVER + limit + ' ' + what + ' of ' + owner + ';';
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
    for (let kind = contract.BUCKET_REQUESTS; kind <= contract.BUCKET_TOKENS; kind++) {
        if (bucket[kind] !== 0) {
            const time = ngx.shared.ig_limits.get((kind === contract.BUCKET_REQUESTS ? 'r ' : 't ') + bucket[contract.BUCKET_NAME]);
            const filled = time === undefined || time < now ? 0 : Math.min(time - now, measure.MINUTE);
            say(headers, kind === contract.BUCKET_REQUESTS ? 'requests' : 'tokens', bucket[kind], filled);
        }
    }
}

export { refusal, tell };
