// plain: the short way for most request bodies: at most 4 kB, and `"model"` once. Inside a string a
// quote is escaped, so that one is a key or a whole value; the parsed object having the key, it is the
// key. Nor is the key there in another spelling: no letter of it is written as an escape (\u006…, \u004…),
// no NUL ends another one early, and the keys are looked through. Whatever is not plain goes the careful
// way: scan.js and body.js.

const LARGEST = 4096;
// What a letter of a key, or a NUL that ends one early, may be written as; and what may be a number that njs's
// JSON.parse takes and JSON does not have: 01, .5, 1., +1. It begins with characters that are seldom, because
// an attempt costs as much as reading 40 bytes.
const CLOSER_LOOK = /\\u00[04-7]|(?<=[\s:,\x5b])(?:-?0\d|[-+]?\.|\+)[-+.\deE]*\s*[,\]}]|(?<=\d)\.(?:[eE][-+]?\d+)?\s*[,\]}]/;
// So many answers, logprobs or parts of messages are fine without counting what they are.
const FEW = 20;

// See body.js for what is returned; `value` is where the model's name stands. Undefined if it is not
// plain. size: the Content-Length, if there is one.
function read(r, size) {
    if (size > LARGEST) {   // making text of a large body is what costs
        return undefined;
    }
    const text = r.requestText;
    return !text || text.length > LARGEST ? undefined : look(text);
}

// The same for a text; scan.js has one with marks in place of the long strings.
function look(text) {
    const bytes = Buffer.byteLength(text);
    const key = text.indexOf('"model"');
    // A byte that is no UTF-8 became U+FFFD in the text. Text that is all ASCII has none.
    if (key === -1 || text.indexOf('"model"', key + 7) !== -1 || CLOSER_LOOK.test(text)
        || (bytes !== text.length && text.indexOf('\ufffd') !== -1)) {
        return undefined;
    }
    try {
        const parsed = JSON.parse(text);
        const model = parsed.model;
        // The value is the next string, as long as it is spelled without escapes.
        const value = text.indexOf('"', key + 7);
        if (typeof model !== 'string' || model === ''
            || text.slice(value + 1, value + 2 + model.length) !== model + '"') {
            return undefined;
        }
        const verdict = judged(parsed);
        return verdict === undefined ? undefined : {
            model, value, text, parsed, bytes, verdict, stream: parsed.stream,
            max_tokens: parsed.max_completion_tokens || parsed.max_tokens,
            usage: parsed.stream_options === undefined ? 'absent' : 'there',
        };
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

// What check.js would say about a body, the lenient way: 'fine', or 'odd' if it may have something to
// say. 'usual', if it is fine and of all keys of tokens.js has at most a number as max_tokens. Undefined
// if a key is 'model' in another case. One walk over the keys that are there: to ask for
// one that is not costs as much as three that are, and a table would be built anew for each request.
function judged(body) {
    let verdict = 'usual';
    for (const name in body) {
        const value = body[name];
        if (name === 'model') {
            continue;
        }
        if (name === 'messages') {
            if (!areMessages(value)) {
                verdict = 'odd';
            }
        } else if (name === 'max_tokens') {
            if (!(value >= 1) || typeof value !== 'number' || value % 1 !== 0) {
                verdict = 'odd';
            }
        } else if (name === 'temperature' || name === 'top_p') {
            if (typeof value !== 'number') {
                verdict = 'odd';
            }
        } else if (name === 'stream') {
            if (typeof value !== 'boolean') {
                verdict = 'odd';
            }
        } else if (name === 'tools') {
            if (!Array.isArray(value)) {
                verdict = 'odd';
            }
        } else if (name === 'stream_options' || name === 'logit_bias') {
            if (value === null || typeof value !== 'object' || Array.isArray(value)) {
                verdict = 'odd';
            }
        } else if (name.length === 5 && name.toLowerCase() === 'model') {
            return undefined;
        } else if (isOdd(name, value)) {
            verdict = 'odd';
        } else if (verdict === 'usual') {
            verdict = 'fine';
        }
    }
    return verdict;
}

// The same for one of the other keys.
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

export default { read, look, edited };
