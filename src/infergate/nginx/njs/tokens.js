// tokens: how long an answer a request asks for, in every dialect's words, and how many of them. One
// function for what is taken from limits and for what a key may ask for; it runs only where there are such
// limits. A field that one engine ignores counts all the same: nobody knows here which one reads it.
import * as byPath from './by_path.js';
import * as contract from './contract.js';
import * as members from './members.js' with { load: 'rare' };
import * as refuse from './refuse.js' with { load: 'rare' };

// OpenAI, OpenAI's Responses, TGI, Anthropic's older, llama.cpp; in `options` Ollama.
const LENGTHS = ['max_tokens', 'max_completion_tokens', 'max_output_tokens', 'max_new_tokens',
    'max_tokens_to_sample', 'n_predict', 'num_predict'];
// The answers to one prompt; llama.cpp's n_cmpl.
const ANSWERS = ['n', 'best_of', 'n_cmpl'];
const OPTIONS = 'options', PROMPT = 'prompt', MESSAGES = 'messages';
// vLLM's: each is a prompt, beside those of `prompt`.
const EMBEDS = 'prompt_embeds';
// vLLM's; its `messages` are a list of conversations.
const BATCH = '/v1/chat/completions/batch';
// A text that pydantic, which vLLM reads its requests with, takes for a whole number.
const DIGITS = /^\s*\+?(\d+(?:_\d+)*)(?:\.0*)?\s*$/;
// Above, a number is not exact, and no answer that long.
const LARGEST = 1e12;

// Where an endpoint of completions reads the length of its answer.
function wordOf(uri) {
    return byPath.word(contract.LENGTHS, uri);
}

// Whether the body says how long the answer may be in a word that the endpoint's engines read: vLLM goes on
// after n_predict tokens, and Ollama after max_completion_tokens
// (https://github.com/ollama/ollama/blob/main/openai/openai.go).
function isBounded(uri, body, isOllama) {
    const word = wordOf(uri);
    const said = uri.startsWith('/api/') ? body[OPTIONS] : body;
    return said !== undefined && said !== null && (said[word] > 0
        || (word === 'n_predict' && said.max_tokens > 0)
        || (word === 'max_tokens' && !isOllama && uri.startsWith('/v1/chat/') && said.max_completion_tokens > 0));
}

// Of an answer that is not streamed, and whose length is not said as most say it: true where nothing bounds it,
// false where the usual time is enough; undefined for what first_byte.js has to look at.
function isUnbounded(uri, request) {
    if (settings.quick_unsaid.indexOf(' ' + uri + ' ') !== -1 && (uri[1] !== 'a' || request.stream === false)) {
        const said = asked(uri, request, false);
        return said.error !== undefined || said.each !== undefined ? undefined : true;
    }
    return settings.quick_unsaid === '' && request.verdict !== 'usual'
        && wordOf(uri) !== undefined && asked(uri, request, false).each > settings.quick_tokens ? undefined : false;
}

// The whole number that a backend reads, undefined if that is none of at least 1.
function whole(value) {
    const digits = typeof value === 'string' ? DIGITS.exec(value) : null;
    const number = digits === null ? value : Number(digits[1].split('_').join(''));
    return typeof number === 'number' && number >= 1 && number <= LARGEST && number % 1 === 0 ? number : undefined;
}

// A name as Go's encoding/json compares it, which takes ſ (U+017F) for s and K (U+212A) for k.
function folded(name) {
    return name.toUpperCase().toLowerCase();
}

// { each, answers } or { error, param }. each: the longest answer asked for, undefined if nothing is said;
// answers: how many, of all prompts. isExact: a key that stands there twice is refused. Where only rates are
// limited that is not looked for: they are put right by what was used.
function asked(uri, request, isExact) {
    const body = request.parsed;
    const found = { each: undefined, answers: 1 };
    const text = isExact ? request.text : undefined;
    const wrong = look(found, body, text)
        || (uri.startsWith('/api/') ? lookAtOptions(found, body, text) : undefined);
    if (wrong !== undefined) {
        return wrong;
    }
    if (isExact && uri === BATCH && members.isRepeated(text, MESSAGES)) {
        return refuse.bad("'messages' stands in the request body more than once.", MESSAGES);
    }
    found.answers *= prompts(uri, body);
    return found;
}

// How many prompts: one may be a list of tokens.
function prompts(uri, body) {
    if (uri === BATCH) {
        return Math.max(1, listed(body[MESSAGES]));
    }
    return uri === '/v1/completions' || uri === '/completion' ? Math.max(1, listed(body[PROMPT]) + listed(body[EMBEDS])) : 1;
}

function listed(prompt) {
    return Array.isArray(prompt) && typeof prompt[0] !== 'number' ? prompt.length
        : prompt === undefined || prompt === null || prompt.length === 0 ? 0 : 1;
}

// The fields of one object. text: it is the first in there; undefined where no key can be there twice, or
// may be.
function look(found, object, text) {
    for (const name in object) {
        const lower = folded(name);
        const isLength = LENGTHS.indexOf(lower) !== -1;
        const isNumber = isLength || ANSWERS.indexOf(lower) !== -1;
        if (!isNumber && lower !== OPTIONS && lower !== PROMPT && lower !== EMBEDS) {
            continue;
        }
        if (name !== lower) {
            return refuse.bad("Write '" + lower + "' in lower case, not '" + name + "'.", lower);
        }
        if (text !== undefined && members.isRepeated(text, name)) {
            return refuse.bad("'" + name + "' stands in the request body more than once.", name);
        }
        const value = object[name];
        if (!isNumber || value === null) {
            continue;
        }
        const number = whole(value);
        if (number === undefined) {
            return refuse.bad("'" + name + "' must be a whole number of at least 1.", name);
        }
        if (isLength) {
            found.each = found.each > number ? found.each : number;
        } else {
            found.answers = Math.max(found.answers, number);
        }
    }
    return undefined;
}

// Ollama's.
function lookAtOptions(found, body, text) {
    const options = body.options;
    return options === null || typeof options !== 'object' ? undefined
        : look(found, options, text && text.slice(members.find(text, OPTIONS)[0].start));
}

// For $ig_note: how many choices a stream of completions has, behind a space; '' for one. body: as in a request,
// or without its long strings.
function note(uri, body) {
    return body.n > 1 || Array.isArray(body.prompt) ? ' ' + prompts(uri, body) * (body.n > 1 ? Number(body.n) : 1) : '';
}

// What is to be written into the body so that the engine stops at `most` tokens of all answers, where the
// field that it reads is not there: { insert } before the other keys, or { splice: [start, end, text] }, a
// place in the text. Undefined where it is there, or nothing is generated. Only for what `asked` accepts.
function bound(uri, request, most) {
    const word = wordOf(uri);
    if (word === undefined) {
        return undefined;
    }
    const body = request.parsed;
    const said = asked(uri, request, true);
    const limit = Math.floor(most / said.answers);
    const member = '"' + word + '":' + (said.each < limit ? said.each : limit);
    if (!uri.startsWith('/api/')) {
        return missing(request.text, body, word, member, 0);
    }
    const options = body.options;
    if (options === null || typeof options !== 'object') {
        return missing(request.text, body, OPTIONS, '"options":{' + member + '}', 0);
    }
    const start = members.find(request.text, OPTIONS)[0].start;
    const within = missing(request.text.slice(start), options, word, member, start);
    return within === undefined || within.splice !== undefined ? within
        : { insert: '', splice: [start + 1, start + 1, Object.keys(options).length === 0 ? member : within.insert] };
}

// The same for one object, which begins at `offset`.
function missing(text, object, word, member, offset) {
    if (object[word] === undefined) {
        return { insert: member + ',' };
    }
    if (object[word] !== null) {
        return undefined;
    }
    const start = members.find(text, word)[0].start;
    return { insert: '', splice: [offset + start, offset + start + 4, member.slice(member.indexOf(':') + 1)] };
}

function isLength(name) {
    return LENGTHS.indexOf(name) !== -1;
}

export { LENGTHS, ANSWERS, asked, bound, note, folded, isBounded, isLength, isUnbounded, wordOf };
