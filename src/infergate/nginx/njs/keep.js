// keep: which answers are kept to be given again, and under which name. Exact match: the whole body and
// the endpoint, for the caller's tenant or, where the model's cache is shared, for everybody.
//
// A whole answer is kept by nginx (proxy_cache), under a key that has the time at which it was first
// asked for. The key is here, so an answer nobody may have any longer (its ttl is over, the caller wants
// a newer one, it was purged) is one whose key nobody asks for. An event stream is kept here itself,
// once it has come to its good end: nginx would have to hold back its pieces.
//
// ig_kept      '<tenant>\n<digest>' → nginx's key, the model, what the caller called it, and whether the
//              model has limits; a line each
// ig_streams   '<tenant>\n<digest>' → the model, when it was kept (ms), its Content-Type and its text
// ig_turns     'hits <model>', 'misses <model>' → how many
//
// $ig_keep       cached: nginx keeps it; stream: we do; empty: nobody. It ends the names of locations
// $ig_cache_key  nginx's key; of a stream '<ttl in ms> <key of ig_streams>'
import crypto from 'crypto';
import * as state from './state.js';

const KEY = 0, MODEL = 1, NAMED = 2, LIMITED = 3;
const EVERYBODY = '*';

// SHA-256, because who can find two texts with one digest could have one answered for the other.
function nameOf(r, text) {
    return '\n' + crypto.createHash('sha256').update(settings.who_answers + r.uri + '\n').update(text).digest('base64');
}

function count(what, model) {
    try {
        state.shared.ig_turns.incr(what + model, 1, 0);
    } catch (e) {
        // no room for another counter; the answer matters more
    }
}

export { KEY, MODEL, NAMED, LIMITED, EVERYBODY, nameOf, count };
