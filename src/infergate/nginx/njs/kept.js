// kept: answer.js where the answer is kept to be given again. nginx keeps the whole ones by itself.
import * as answer from './answer.js';
import * as contract from './contract.js';
import * as keep from './keep.js';
import * as keeping from './keeping.js' with { load: 'lazy' };
import * as streamOptions from './stream_options.js' with { load: 'rare' };
import * as unasked from './unasked.js' with { load: 'lazy' };

// Larger streams are not kept.
const LARGEST_STREAM = 262144;

let pieces;            // of a stream; undefined before the first, false where they are not wanted
let size = 0;
let complete = false;  // the last one was there

function filter(r, data, flags) {
    if (pieces === undefined) {
        pieces = r.variables.ig_keep === 'stream' ? [] : false;
    }
    if (pieces !== false) {
        size += data.length;
        if (size > LARGEST_STREAM) {
            pieces = false;
        } else if (data.length !== 0) {
            pieces.push(data);
        }
        complete = flags.last;
    }
    answer.filter(r, data, flags);
}

function settle(r) {
    const variables = r.variables;
    const hit = variables.upstream_cache_status === 'HIT';   // somebody else asked at the same time
    if (hit) {
        answer.forget();
    }
    if (variables.ig_keep !== '' && r.status === 200) {
        keep.count(hit ? contract.COUNTED_KEY_HITS : contract.COUNTED_KEY_MISSES, variables.ig_model);
    }
    if (pieces && complete && r.status === 200 && answer.streaming && !answer.streaming.failed()
        && r.headersOut['Content-Encoding'] === undefined) {
        keeping.keepStream(r, pieces, variables.ig_note.startsWith(streamOptions.STRIP) ? unasked.without : (text) => text);
    }
    return answer.settle(r);
}

export { filter, settle };
export { refuse } from './answer.js';
