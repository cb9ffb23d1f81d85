// scan: a large JSON body, searched and not parsed. It hops from quote to quote, so it costs by the
// number of strings and not by their length: an image in base64 is one hop. At 1 MB JSON.parse takes
// 2 to 4 ms; this takes a tenth.
//
// It is exact about what decides: strings and their escapes, depth, duplicates, case. What is no JSON
// elsewhere goes on to the backend, which refuses it. A body of many short strings is quicker to
// parse; read gives up on it soon, and body.js takes over.
import refuse from 'refuse.js';

const SMALLEST = 4096;
// Searching a megabyte for a byte takes 0.4 ms, for a string of one character 2.1 ms.
const QUOTE = 0x22;
// The deepest nesting that is let through: vLLM's and Ollama's own parsers give up at a thousand.
const DEEPEST = 128;
// A string costs a hop about as much as parsing 200 bytes.
const BYTES_PER_HOP = 200, FREE_HOPS = 64;
// Between two strings; what is longer is a list of numbers, which is parsed.
const LONGEST_GAP = 512;

const LONGEST_KEY = 21 * 6;   // every letter escaped

// Index behind the string that opens at `at`; 0 if it does not end.
function endOfString(buffer, at) {
    for (let end = buffer.indexOf(QUOTE, at + 1); end !== -1; end = buffer.indexOf(QUOTE, end + 1)) {
        let first = end;
        while (buffer[first - 1] === 0x5c) {
            first--;
        }
        if ((end - first) % 2 === 0) {
            return end + 1;
        }
    }
    return 0;
}

// As body.read; undefined for a body that is small, or better parsed.
function read(r) {
    const buffer = r.requestBuffer;
    if (!buffer || buffer.length < SMALLEST || r.headersIn['Content-Encoding'] !== undefined) {
        return undefined;
    }
    const length = buffer.length;
    const KEYS = {
        model: 1, stream: 1, stream_options: 1, max_tokens: 1, max_completion_tokens: 1, messages: 1, prompt: 1,
        input: 1, user: 1, priority: 1,
    };
    const found = {};      // key → where its value starts
    const messages = [];   // where the first messages start and end
    let within = '';       // the key of the root whose value this is
    let depth = 0;
    let roots = 0;
    let hops = 0;
    let at = 0;

    while (at < length) {
        const quote = buffer.indexOf(QUOTE, at);
        const stop = quote === -1 ? length : quote;
        if (stop - at > LONGEST_GAP) {
            return undefined;
        }
        for (; at < stop; at++) {
            const code = buffer[at];
            if (code === 0x7b || code === 0x5b) {
                if (depth === 0 && (code === 0x5b || ++roots > 1)) {
                    return undefined;   // no object, or more than one value
                }
                depth++;
                if (depth === 3 && within === 'messages' && messages.length < 8) {
                    messages.push(at);
                }
            } else if (code === 0x7d || code === 0x5d) {
                if (depth === 3 && within === 'messages' && messages.length % 2 === 1) {
                    messages.push(at + 1);
                }
                depth--;
            }
            if (depth === 0 && code !== 0x7d && code > 0x20) {
                return undefined;
            }
        }
        if (quote === -1) {
            break;
        }
        if (depth > DEEPEST) {
            return refuse.bad('The request body is nested too deeply: ' + DEEPEST + ' levels are accepted.');
        }
        const end = endOfString(buffer, quote);
        if (end === 0 || depth === 0 || ++hops > FREE_HOPS + end / BYTES_PER_HOP) {
            return undefined;
        }
        at = end;
        if (depth === 1) {
            let next = end;
            while (buffer[next] <= 0x20) {
                next++;
            }
            if (buffer[next] === 0x3a) {
                within = end - quote > LONGEST_KEY ? '' : keyAt(buffer, quote, end);
                if (KEYS[within] === undefined) {
                    const lower = within.toLowerCase();
                    if (lower === 'model') {
                        return refuse.bad("Write 'model' in lower case, not '" + within + "'.", 'model');
                    }
                } else if (found[within] !== undefined) {
                    return within === 'model'
                        ? refuse.bad("'model' stands in the request body more than once.", 'model') : undefined;
                } else {
                    next++;
                    while (buffer[next] <= 0x20) {
                        next++;
                    }
                    found[within] = next;
                }
                at = next + (buffer[next] === 0x3a ? 1 : 0);
            }
        }
    }
    return depth === 0 ? asked(r, buffer, found, messages) : undefined;
}

function keyAt(buffer, quote, end) {
    const text = buffer.slice(quote, end).toString();
    if (text.indexOf('\\') === -1) {
        return text.slice(1, -1);
    }
    try {
        return JSON.parse(text);
    } catch (e) {
        return '';
    }
}

// A short value: a string, a number, true or false; undefined if it is none of them.
function valueAt(buffer, at) {
    if (at === undefined) {
        return undefined;
    }
    let end = buffer[at] === 0x22 ? endOfString(buffer, at) : at;
    if (end === at) {
        while (end < buffer.length && end - at < 40 && ', }\r\n\t'.indexOf(String.fromCharCode(buffer[end])) === -1) {
            end++;
        }
    }
    try {
        return end - at > 2000 ? undefined : JSON.parse(buffer.slice(at, end).toString());
    } catch (e) {
        return undefined;
    }
}

function asked(r, buffer, found, messages) {
    const start = found.model;
    if (start === undefined) {
        return undefined;
    }
    const model = valueAt(buffer, start);
    if (typeof model !== 'string' || model === '' || model.indexOf('\ufffd') !== -1) {
        return undefined;   // body.js finds the words for it
    }
    return {
        model, named: model, buffer, start, end: endOfString(buffer, start), found,
        bytes: buffer.length,
        stream: valueAt(buffer, found.stream),
        max_tokens: valueAt(buffer, found.max_completion_tokens) || valueAt(buffer, found.max_tokens),
        usage: found.stream_options === undefined ? 'absent' : 'there',
        opening: () => opening(buffer, found, messages),
    };
}

// What affinity.js goes by, parsed: the first messages, or the start of the prompt.
function opening(buffer, found, messages) {
    const parsed = { user: valueAt(buffer, found.user) };
    try {
        if (found.messages !== undefined) {
            parsed.messages = [];
            for (let i = 0; i + 1 < messages.length; i += 2) {
                parsed.messages.push(JSON.parse(buffer.slice(messages[i], messages[i + 1]).toString()));
            }
        } else {
            const at = found.prompt === undefined ? found.input : found.prompt;
            parsed.prompt = buffer.slice(at, at + 2000).toString();
        }
    } catch (e) {
        // no JSON: the backend says so
    }
    return parsed;
}

function has(request, key) {
    return request.found[key] !== undefined;
}

function problem(uri, request, how) {
    if (how === 'off' || !uri.startsWith('/v1/')) {
        return undefined;
    }
    const at = request.found.messages;
    if (at !== undefined && request.buffer[at] !== 0x5b) {
        return refuse.bad("'messages' must be a list of messages.", 'messages');
    }
    if (request.found.stream !== undefined && request.stream !== null && typeof request.stream !== 'boolean') {
        return refuse.bad("'stream' must be true or false.", 'stream');
    }
    return undefined;
}

function edited(request, name, insert) {
    const buffer = request.buffer;
    const brace = buffer.indexOf(0x7b) + 1;
    return Buffer.concat([buffer.slice(0, brace), Buffer.from(insert), buffer.slice(brace, request.start),
        Buffer.from(JSON.stringify(name)), buffer.slice(request.end)]);
}

export default { read, has, problem, edited };
