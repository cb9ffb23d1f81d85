// plain: the short way for most request bodies: at most 4 kB, and `"model"` once. Inside a string a
// quote is escaped, so that one is a key or a whole value; the parsed object having the key, it is the
// key. Nor is the key there in another spelling: no letter of it is written as an escape (\u006…, \u004…),
// no NUL ends another one early, and the keys are looked through. Whatever is not plain goes the careful
// way: scan.js and body.js.

const LARGEST = 4096;
// Before and after the key: another one; what a letter of a key, or a NUL that ends one early, may be written
// as; what stands for bytes that are no UTF-8; and what may be a number that njs's JSON.parse takes and JSON
// does not have: 01, .5, 1., +1, -Infinity. One search for all of it, because a search for a word takes twice as long. Each
// begins with characters that are seldom: an attempt costs as much as reading 50 bytes.
const CLOSER_LOOK = /m(?<="m)odel"|\\u00[04-7]|\ufffd|[-+.0](?<=[\s:,\x5b].)(?:(?<=0)\d|(?<=-)(?:0\d|\.|I)|(?<=[+.]))[-+.\deEInfity]*\s*[,\]}]|\.(?<=\d\.)(?:[eE][-+]?\d+)?\s*[,\]}]/;
// So many answers, logprobs or parts of messages are fine without counting what they are.
const FEW = 20;

// See body.js for what is returned; `value` is where the model's name stands. Undefined if it is not
// plain. size: the Content-Length, if there is one.
function read(r, size) {
    if (size > LARGEST) {   // making text of a large body is what costs
        return undefined;
    }
    const text = r.requestText;
    return !text || text.length > LARGEST ? undefined
        : look(text, size === undefined ? Buffer.byteLength(text) : size * 1);
}

// The same for a text; scan.js has one with marks in place of the long strings. bytes: of the body.
function look(text, bytes) {
    const key = text.indexOf('"model"');
    if (key === -1 || CLOSER_LOOK.test(text.slice(key + 7))
        || (key > 1 && CLOSER_LOOK.test(text.slice(0, key)))) {
        return undefined;
    }
    try {
        return judged(text, JSON.parse(text), text.indexOf('"', key + 7), bytes);
    } catch (e) {
        return undefined;   // body.js finds the words for it
    }
}

// The body with `name` as its model and `insert` before its other keys.
function edited(request, name, insert) {
    const text = request.text;
    const brace = text.indexOf('{') + 1;
    const start = request.value;
    const end = start + 2 + request.model.length;
    return text.slice(0, brace) + insert + text.slice(brace, start) + JSON.stringify(name) + text.slice(end);
}

// The request, unless the value of the key is not at `value`, where the next string is, spelled without
// escapes; or another key is 'model' in another case. verdict: what check.js would say, the lenient way: 'fine',
// or 'odd' if it may have something to say. 'usual', if it is fine and of all keys of tokens.js has at most a
// number as max_tokens.
//
// One walk over the keys that are there: to ask for one that is not costs as much as three that are, and
// a table would be built anew for each request.
function judged(text, parsed, value, bytes) {
    let verdict = 'usual';
    let model, stream, longest, longestInAll;
    for (const name in parsed) {
        const said = parsed[name];
        if (name === 'model') {
            model = said;
        } else if (name === 'messages') {
            if (!areMessages(said)) {
                verdict = 'odd';
            }
        } else if (name === 'max_tokens') {
            longest = said;
            if (!isCount(said)) {
                verdict = 'odd';
            }
        } else if (name === 'stream') {
            stream = said;
            if (typeof said !== 'boolean') {
                verdict = 'odd';
            }
        } else {
            if (name === 'max_completion_tokens') {
                longestInAll = said;
            }
            const its = verdictOf(name, said);
            if (its === undefined) {
                return undefined;
            }
            verdict = its === 'usual' || verdict === 'odd' ? verdict : its;
        }
    }
    if (!isNamed(text, value, model)) {
        return undefined;
    }
    return { model, value, text, parsed, bytes, verdict, stream, max_tokens: longest, in_all: longestInAll };
}

function isCount(value) {
    return value >= 1 && typeof value === 'number' && value % 1 === 0;
}

// Whether the model's name stands there as it is.
function isNamed(text, value, model) {
    return typeof model === 'string' && model !== ''
        && text.slice(value + 1, value + 2 + model.length) === model + '"';
}

// Of one of the other keys; undefined for 'model' in another case.
function verdictOf(name, value) {
    switch (name) {
    case 'temperature':
    case 'top_p':
        return typeof value === 'number' ? 'usual' : 'odd';
    case 'tools':
        return Array.isArray(value) ? 'usual' : 'odd';
    case 'stream_options':
    case 'logit_bias':
        return value !== null && typeof value === 'object' && !Array.isArray(value) ? 'usual' : 'odd';
    }
    if (name.length === 5 && name.toLowerCase() === 'model') {
        return undefined;
    }
    if (isOdd(name, value)) {
        return 'odd';
    }
    return 'fine';
}

function isOdd(name, value) {
    switch (name) {
    case 'max_completion_tokens':
    case 'seed':
        return typeof value !== 'number' || value % 1 !== 0;
    case 'presence_penalty':
    case 'frequency_penalty':
        return typeof value !== 'number';
    case 'stop':
        return typeof value !== 'string';
    case 'n':
    case 'best_of':
    case 'logprobs':
    case 'top_logprobs':
    case 'prompt_logprobs':
        return typeof value !== 'number' || !(value >= 1 && value <= FEW && value % 1 === 0);
    default:
        return false;
    }
}

function areMessages(messages) {
    let parts = 0;
    if (messages === null || typeof messages !== 'object' || !(messages.length > 0)) {
        return false;
    }
    for (let i = 0; i < messages.length; i++) {
        const message = messages[i];
        if (message === null || typeof message !== 'object' || typeof message.role !== 'string') {
            return false;
        }
        const content = message.content;
        if (typeof content !== 'string' && content !== undefined && content !== null) {
            if (!Array.isArray(content) || (parts += content.length) > FEW) {
                return false;
            }
        }
    }
    return true;
}

export { read, look, edited };
