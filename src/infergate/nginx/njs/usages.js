// usages: what an answer tells of itself: how many tokens it used, and where a stream ends. By endpoint, and
// only here.
//
// Only the engine's own field counts, at its own place. Whatever a client wrote may come back in an answer
// (arguments of a tool, metadata, JSON that a model was asked to write), but further down. Of a long answer
// only the end is known here; what begins at a name and, with a `{` before it, is a whole object, stood at
// the top.
import * as byPath from './by_path.js';
import * as contract from './contract.js';
import * as events from './event_lines.js';

// No backend is believed to have used more tokens: src/infergate/config/budgets.py.
const MOST = settings.most_tokens;
// Looked at from the end, where the engine's own stands.
const PLACES = 8;
// A usage is no longer than that.
const LONGEST = 2048;

// By whose words the endpoint's answers tell it; '' where their streams have no end that is known.
function dialectOf(uri) {
    return byPath.word(contract.STREAMS, uri) || '';
}

function whole(number) {
    return typeof number === 'number' && number >= 0 && number <= MOST && number % 1 === 0 ? number : undefined;
}

function firstOf(told, names) {
    for (let i = 0; i < names.length; i++) {
        const number = whole(told[names[i]]);
        if (number !== undefined) {
            return number;
        }
    }
    return undefined;
}

// [prompt, completion, cached] of an engine's object; undefined for what it does not tell, or tells in
// numbers that are none.
function tokensOf(told) {
    if (!told || typeof told !== 'object') {
        return undefined;
    }
    const completion = firstOf(told, ['completion_tokens', 'output_tokens', 'eval_count', 'tokens_predicted']);
    let prompt = firstOf(told, ['prompt_tokens', 'input_tokens', 'prompt_eval_count', 'tokens_evaluated']);
    let cached = firstOf(told.prompt_tokens_details || told.input_tokens_details || {}, ['cached_tokens']) || 0;
    if (prompt !== undefined && cached === 0) {   // Anthropic counts these beside the prompt
        cached = whole(told.cache_read_input_tokens) || 0;
        prompt = whole(prompt + cached + (whole(told.cache_creation_input_tokens) || 0));
    }
    return completed(prompt, completion, cached, whole(told.total_tokens));
}

// The same, with what the total says of what is not told: it is all that vLLM tells of a rerank, and Jina.
function completed(prompt, completion, cached, total) {
    if (total !== undefined) {
        if (prompt === undefined && total >= (completion || 0)) {
            prompt = total - (completion || 0);
        } else if (completion === undefined && total >= prompt) {   // not where there is no prompt
            completion = total - prompt;
        }
    }
    return prompt === undefined && completion === undefined ? undefined : [prompt, completion, cached];
}

// What stands behind a name at the top of an object, of which `text` is the end: all from there on as an
// object. before: what has to stand before the name to make it whole.
function fromName(text, name, before) {
    let at = text.lastIndexOf(name);
    for (let left = PLACES; at !== -1 && left !== 0; left--) {
        try {
            return JSON.parse(before + text.slice(at));
        } catch (e) {
            // further down, or a text of that name
        }
        at = at === 0 ? -1 : text.lastIndexOf(name, at - 1);
    }
    return undefined;
}

// What stands behind either of two names at the top, whichever comes first.
function fromNames(text, one, other) {
    return Object.assign({}, fromName(text, one, '{'), fromName(text, other, '{'));
}

// Of an answer in one piece, of which `text` is the end.
function ofBody(uri, text) {
    if (dialectOf(uri) === 'llamacpp') {
        return tokensOf(fromNames(text, '"tokens_predicted"', '"tokens_evaluated"'));
    }
    if (uri.startsWith('/api/')) {   // Ollama, which leaves out the first where the prompt was in its cache
        return tokensOf(fromNames(text, '"prompt_eval_count"', '"eval_count"'));
    }
    let found = fromName(text, '"usage"', '{');
    if (found !== undefined) {
        return tokensOf(found.usage);
    }
    found = fromName(text, '"meta"', '{');   // Cohere's rerank
    found = found && found.meta;
    return found ? tokensOf(found.tokens) || tokensOf(found.billed_units) : undefined;
}

// The same where it stands at the beginning, before the data; at: of the name.
function atFront(piece, at) {
    try {
        JSON.parse(piece.toString('utf8', 0, at) + '"":0}');   // it is at the top
        const text = piece.toString('utf8', at);
        for (let end = text.indexOf('}'); end !== -1 && end < LONGEST; end = text.indexOf('}', end + 1)) {
            const told = objectOf('{' + text.slice(0, end + 1) + '}');
            if (told !== undefined) {
                return tokensOf(told.usage);
            }
        }
    } catch (e) {
        // further down
    }
    return undefined;
}

function objectOf(text) {
    try {
        const found = JSON.parse(text);
        return found === null || typeof found !== 'object' ? undefined : found;
    } catch (e) {
        return undefined;
    }
}

// Of a stream: { ended, finished, hasEnd, failed, tokens }. ended: it said so; finished: everything was said,
// where it was closed without that word; hasEnd: the word is known; failed: why it is no good answer.
// first, last: its beginning and end; isWhole: `last` has all of it; several: choices.js's, of more than one.
function ofStream(uri, isSse, first, last, isWhole, several) {
    const dialect = dialectOf(uri);
    const found = { ended: false, finished: false, hasEnd: dialect !== '', failed: '', tokens: undefined };
    const lines = events.linesOf(last);
    const choices = {};
    let isLast = true;   // nothing was found behind it
    let said = false;    // of a choice
    let joined = false;  // lines that follow on each other were no event; not twice, it costs their square
    let i = lines.length;
    while (--i >= 0 && !isAllTold(found, said || dialect !== 'openai', isLast, isSse)) {
        const isCut = i === 0 && !isWhole;
        const text = dataOf(found, lines[i], isSse, isCut);
        if (text === '') {
            continue;
        }
        let event = objectOf(text);
        if (event === undefined && isSse && !joined) {   // its data may be told in several lines
            const begins = events.firstLine(lines, i);
            event = objectOf(lines.slice(begins, i + 1).map((line) => line.slice(5)).join('\n'));
            joined = event === undefined;
            i = joined ? i : begins;
        }
        if (event !== undefined) {
            said = take(found, event, dialect, choices) || said;
        } else {
            takeEnd(found, text, dialect, i < lines.length - 1);
            // What cannot be read here, as it came whole, says nothing against it.
            finish(found, isLast && events.cameWhole(lines, i, isSse, isCut));
        }
        isLast = false;   // of lines that are no events it says all
    }
    if (dialect === 'anthropic') {   // tells in two parts
        merge(found, startOf(first));
    }
    if (said) {
        found.finished = isFinished(choices, several);
    }
    return found;
}

// Whether each choice that was spoken of lately is finished, and of several all.
function isFinished(choices, several) {
    for (const index in choices) {
        if (!choices[index]) {
            return false;
        }
    }
    return several === undefined || Object.keys(Object.assign({}, choices, several.found)).length >= several.wanted;
}

// Whether nothing further up could tell more.
function isAllTold(found, said, isLast, isSse) {
    return (!isSse && !isLast) || (found.ended && found.tokens !== undefined && said);
}

// The data of a line; '' where it has none. What it says of the stream goes into `found`.
function dataOf(found, line, isSse, isCut) {
    let text = line;
    if (isSse && (!isCut || line.startsWith('data:'))) {
        if (!line.startsWith('data:')) {
            if (line.startsWith('event:') && line.slice(6).trim() === 'error') {
                fails(found);
            }
            return '';
        }
        text = line.slice(5).trim();
    }
    if (text === '[DONE]') {
        found.ended = true;
        return '';
    }
    return text;
}

// Anthropic's first event has the tokens of the prompt.
function startOf(first) {
    const lines = events.linesOf(first);
    for (let i = 0; i < lines.length; i++) {
        const event = lines[i].startsWith('data:') ? objectOf(lines[i].slice(5)) : undefined;
        if (event !== undefined && event.type === 'message_start') {
            return event.message ? tokensOf(event.message.usage) : undefined;
        }
    }
    return undefined;
}

function fails(found) {
    found.ended = true;
    found.failed = 'stream_error';
}

// Not null, and not empty: some write it into every event.
function isTold(error) {
    return Boolean(error) && (typeof error !== 'object' || Object.keys(error).length !== 0);
}

// One event, the last ones first; whether it has choices.
function take(found, event, dialect, choices) {
    // Engines put errors into streams that began with 200.
    if (isTold(event.error) || event.object === 'error' || event.type === 'error') {
        fails(found);
    }
    switch (dialect) {
    case 'openai':
        return takeChoices(found, event, choices);
    case 'responses':
        takeResponse(found, event);
        break;
    case 'anthropic':
        end(found, event.type === 'message_stop');
        merge(found, event.type === 'message_delta' ? tokensOf(event.usage) : undefined);
        break;
    case 'llamacpp':
        end(found, event.stop === true);
        merge(found, event.stop === true ? tokensOf(event) : undefined);
        break;
    case 'ollama':
        end(found, event.done === true);
        merge(found, tokensOf(event));
        break;
    default:
        end(found, event.status === 'success');   // Ollama's /api/pull
        merge(found, tokensOf(event.usage));
    }
    return false;
}

function end(found, isEnd) {
    found.ended = found.ended || isEnd;
}

function finish(found, isFinished) {
    found.finished = found.finished || isFinished;
}

function takeChoices(found, event, choices) {
    merge(found, tokensOf(event.usage));   // the ones before say null, or less
    (Array.isArray(event.choices) ? event.choices : []).forEach((choice) => {
        const index = (choice && choice.index) || 0;
        if (choices[index] === undefined) {
            choices[index] = Boolean(choice && choice.finish_reason);
        }
    });
    return Array.isArray(event.choices) && event.choices.length !== 0;
}

function takeResponse(found, event) {
    if (event.type === 'response.completed' || event.type === 'response.incomplete' || event.type === 'response.failed') {
        const response = event.response || {};
        found.ended = true;
        if (response.error && response.error.code === 'server_error') {
            fails(found);
        }
        merge(found, tokensOf(response.usage));
    }
}

// Of an event that is longer than what was kept, or nested too deep for njs, the end.
// isLine: what was not said to its end ends further down, perhaps.
function takeEnd(found, text, dialect, isLine) {
    let event;
    if (!isLine) {
        return;
    }
    if (dialect === 'ollama') {   // its `context` may be long
        event = fromNames(text, '"prompt_eval_count"', '"eval_count"');
    } else if (dialect === 'responses') {
        event = fromName(text, '"usage"', '{"response":{');
        event = event && event.response.usage;
    } else {
        event = fromName(text, '"usage"', '{');
        event = event && event.usage;
    }
    const tokens = tokensOf(event);
    if (tokens !== undefined) {
        found.ended = found.ended || dialect === 'ollama' || dialect === 'responses';   // the last one alone has them
        merge(found, tokens);
    }
}

function merge(found, tokens) {
    const known = found.tokens;
    if (known === undefined || !tokens) {
        found.tokens = known || tokens || undefined;
        return;
    }
    for (let i = 0; i < 3; i++) {
        known[i] = known[i] === undefined || tokens[i] > known[i] ? tokens[i] : known[i];
    }
}

export { tokensOf, objectOf, ofBody, atFront, ofStream };
