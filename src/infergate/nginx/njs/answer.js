// answer: what comes back from a backend, and what is left to do when it is over.
//
// The body filter reads how many tokens were used, takes out the usage that only we asked for, and
// ends a stream that broke off with an error event, so that it cannot be taken for a finished one. It
// must not parse every piece: it looks for three words in the bytes, and parses the one event that
// has them. Everything else goes on as it came.
//
// njs starts one engine for a request in this location, so the variables of this file are the
// request's own, from the first piece to the log phase.
import breaker from 'breaker.js';
import charge from 'charge.js';
import state from 'state.js';

let pieces = 0;        // of the body, so far
let events = 0;        // of a stream, about a token each
let ended = false;     // the stream's own end was seen
let failed = '';       // why the answer is not whole
let usage;             // as the backend told it
let held;              // the start of an event that is not complete yet
let kind;              // 'sse', 'ndjson' or '' (an answer in one piece)
let strip = false;     // the usage was asked for by us alone
let tail = '';         // of an answer in one piece, where the usage may begin

const USAGE = '"usage"', OLLAMA_USAGE = '"eval_count"';
// An event is a few hundred bytes; two in a piece are counted when they could be.
const TWO_EVENTS = 400;
const LONGEST_EVENT = 1048576;

function begin(r) {
    const type = r.headersOut['Content-Type'] || '';
    kind = type.startsWith('text/event-stream') ? 'sse' : type.startsWith('application/x-ndjson') ? 'ndjson' : '';
    strip = r.variables.ig_note === 'strip' && kind === 'sse';
}

// js_body_filter, with buffers. data is empty when nginx has no more: flags.last says whether the
// answer is complete.
function filter(r, data, flags) {
    if (kind === undefined) {
        begin(r);
    }
    if (data.length === 0) {
        if (kind === '' || pieces === 0 || (!flags.last && pieces === 0)) {
            r.sendBuffer(data, flags);
        } else {
            finish(r, flags);
        }
        return;
    }
    pieces++;
    if (kind === '') {
        whole(data);
        r.sendBuffer(data, flags);
        return;
    }
    events += data.length < TWO_EVENTS ? 1 : countEvents(data);
    if (strip && (held !== undefined || data.indexOf(USAGE) !== -1 || !endsEvent(data))) {
        data = withoutUsage(data);
    } else {
        stream(data);
    }
    if (flags.last) {
        r.sendBuffer(data, { last: false, flush: false });
        finish(r, flags);
        return;
    }
    r.sendBuffer(data, flags);
}

function countEvents(data) {
    const mark = kind === 'sse' ? 'data:' : '\n';
    let count = 0;
    for (let at = data.indexOf(mark); at !== -1; at = data.indexOf(mark, at + mark.length)) {
        count++;
    }
    return count || 1;
}

function endsEvent(data) {
    const length = data.length;
    return data[length - 1] === 0x0a && (data[length - 2] === 0x0a
        || (data[length - 2] === 0x0d && data[length - 3] === 0x0a));
}

// A piece of a stream that goes on unchanged.
function stream(data) {
    if (kind === 'ndjson') {
        const at = data.indexOf('"done":true');
        if (at !== -1) {
            ended = true;
            usage = ollamaUsage(data.toString());
        } else if (data.indexOf('{"error"') !== -1) {
            ended = true;
            failed = 'stream_error';
        }
        return;
    }
    const length = data.length;
    // "data: [DONE]" and what ends an event after it.
    if (length > 11 && (data[length - 3] === 0x5d || data[length - 5] === 0x5d)
        && data.indexOf('[DONE]') !== -1) {
        ended = true;
    }
    const at = data.indexOf(USAGE);
    if (at !== -1) {
        takeUsage(data.slice(at).toString());
    }
    if (data.indexOf('"error"') !== -1) {
        takeError(data.toString());
    }
}

// The same, where an event that has nothing but the usage is left out. What is not a complete event
// is kept until the rest of it comes.
function withoutUsage(data) {
    const all = held === undefined ? data : Buffer.concat([held, data]);
    const length = all.length;
    const unix = all.lastIndexOf('\n\n');
    const dos = all.lastIndexOf('\r\n\r\n');
    let cut = Math.max(unix === -1 ? 0 : unix + 2, dos === -1 ? 0 : dos + 4);
    held = undefined;
    if (cut < length && length - cut < LONGEST_EVENT) {
        held = Buffer.from(all.slice(cut));
    } else {
        cut = length;
    }
    const kept = [];
    for (let start = 0, end; start < cut; start = end) {
        end = endOfEvent(all, start, cut);
        const event = all.slice(start, end);
        stream(event);
        if (!isOnlyUsage(event)) {
            kept.push(event);
        }
    }
    return Buffer.concat(kept);
}

function endOfEvent(data, start, cut) {
    const unix = data.indexOf('\n\n', start);
    const dos = data.indexOf('\r\n\r\n', start);
    if (unix !== -1 && (dos === -1 || unix < dos)) {
        return unix + 2;
    }
    return dos !== -1 ? dos + 4 : cut;
}

function isOnlyUsage(event) {
    if (event.indexOf(USAGE) === -1) {
        return false;
    }
    try {
        const parsed = JSON.parse(event.toString().trim().slice(5));
        return Array.isArray(parsed.choices) && parsed.choices.length === 0 && parsed.usage !== null;
    } catch (e) {
        return false;
    }
}

// The object behind "usage", wherever it stands. Returns false if it goes on behind the text.
function takeUsage(text) {
    const open = text.indexOf('{', USAGE.length);
    if (open === -1 || text.slice(USAGE.length, open).trim() !== ':') {
        return open !== -1 || text.length > 200;
    }
    let depth = 0;
    for (let at = open; at < text.length; at++) {
        const code = text.charCodeAt(at);
        if (code === 0x7b) {
            depth++;
        } else if (code === 0x7d && --depth === 0) {
            try {
                merge(JSON.parse(text.slice(open, at + 1)));
            } catch (e) {
                // the word stood in somebody's text
            }
            return true;
        }
    }
    return false;
}

// OpenAI's names, the Responses API's and Anthropic's; the latter tells in two parts.
function merge(told) {
    const details = told.prompt_tokens_details || told.input_tokens_details || {};
    const input = told.prompt_tokens !== undefined ? told.prompt_tokens : told.input_tokens;
    const output = told.completion_tokens !== undefined ? told.completion_tokens : told.output_tokens;
    usage = usage || { input: 0, output: 0, cached: 0 };
    usage.input = Number(input) || usage.input;
    usage.output = Number(output) || usage.output;
    usage.cached = Number(details.cached_tokens || told.cache_read_input_tokens) || usage.cached;
}

function ollamaUsage(text) {
    const number = (name) => {
        const at = text.lastIndexOf('"' + name + '":');
        return at === -1 ? 0 : parseInt(text.slice(at + name.length + 3), 10) || 0;
    };
    return { input: number('prompt_eval_count'), output: number('eval_count'), cached: 0 };
}

// Engines put errors into streams that began with 200.
function takeError(text) {
    text.split('\n').forEach((line) => {
        if (line.startsWith('data:') && line.indexOf('"error"') !== -1) {
            try {
                const parsed = JSON.parse(line.slice(5));
                if (parsed.error || parsed.object === 'error' || parsed.type === 'error') {
                    ended = true;
                    failed = 'stream_error';
                }
            } catch (e) {
                // a word in a text, or half an event
            }
        }
    });
    if (text.indexOf('event: error') !== -1) {
        ended = true;
        failed = 'stream_error';
    }
}

// An answer in one piece: the usage stands near its end, perhaps over the edge of two pieces.
function whole(data) {
    let at = data.lastIndexOf(USAGE);
    if (at === -1 && data.lastIndexOf(OLLAMA_USAGE) !== -1) {
        usage = ollamaUsage(tail + data.toString());
        tail = '';
        return;
    }
    if (at === -1 && tail === '') {
        tail = pieces > 1 || data.length > 8000 ? data.slice(-200).toString() : '';
        return;
    }
    const text = at === -1 ? tail + data.toString() : data.slice(at).toString();
    at = text.lastIndexOf(USAGE);
    tail = at === -1 ? text.slice(-200) : takeUsage(text.slice(at)) ? '' : text.slice(at).slice(0, 4000);
}

// The end of a stream: complete, or not.
function finish(r, flags) {
    let last = held;
    held = undefined;
    if (last !== undefined) {
        stream(last);
        if (flags.last && isOnlyUsage(last)) {
            last = undefined;
        }
    }
    if (last !== undefined) {
        r.sendBuffer(last, { last: false, flush: false });
    }
    if (!flags.last || isCutShort(r)) {
        failed = failed || (flags.last ? 'stream_ended_early' : 'stream_truncated');
        if (!ended) {
            r.sendBuffer(errorEvent(r), { last: flags.last, flush: true });
            return;
        }
    }
    r.sendBuffer(Buffer.from(''), flags);
}

// Chat and completion streams end with [DONE]; one that was closed without it was cut.
function isCutShort(r) {
    return !ended && (r.uri === '/v1/chat/completions' || r.uri === '/v1/completions');
}

function errorEvent(r) {
    const message = 'The backend broke off in the middle of its answer.';
    if (kind === 'ndjson') {
        return '\n' + JSON.stringify({ error: message }) + '\n';
    }
    if (r.uri.startsWith('/v1/messages')) {
        return '\n\nevent: error\ndata: ' + JSON.stringify({ type: 'error', error: { type: 'api_error', message } }) + '\n\n';
    }
    if (r.uri.startsWith('/v1/responses')) {
        return '\n\nevent: error\ndata: ' + JSON.stringify({ type: 'error', code: 'server_error', message, param: null }) + '\n\n';
    }
    return '\n\ndata: ' + JSON.stringify({ error: { message, type: 'server_error', param: null, code: 'stream_truncated' } }) + '\n\n';
}

// The request is over, however it ended. Named first in the log format, so it runs in the log phase
// exactly once, also when the client left, and what it finds out stands in the line.
function settle(r) {
    const variables = r.variables;
    const backend = variables.ig_backend;
    let tokens;
    if (usage !== undefined) {
        variables.ig_prompt_tokens = String(usage.input);
        variables.ig_completion_tokens = String(usage.output);
        if (usage.cached !== 0) {
            variables.ig_cached_tokens = String(usage.cached);
        }
        tokens = usage.input + usage.output;
    } else if (kind === 'sse' || kind === 'ndjson') {
        // It broke off, or the backend does not tell: what came, one token an event.
        tokens = Math.ceil(Number(variables.request_length) / 4) + events;
        variables.ig_completion_tokens = String(events);
        variables.ig_counted = 'true';
    }
    if (variables.ig_charge !== '') {
        charge.settle(r, tokens);
    }
    if (backend === '') {
        return '';
    }
    state.release(backend);
    const status = r.status;
    if (failed !== '') {
        variables.ig_error = failed;
        breaker.failed(backend, false, r.uri, variables.ig_model);
    } else if (status >= 500) {
        breaker.failed(backend, false, r.uri, variables.ig_model);
    } else if (ngx.shared.ig_breakers.get(backend) !== undefined && status < 500 && status !== 499) {
        breaker.succeeded(backend);
    }
    const waiting = ngx.shared.ig_waiting;
    if (waiting.get('') > 0) {
        average('ig_waiting', 'd ' + variables.ig_model, Number(variables.upstream_response_time) * 1000);
        waiting.incr('freed', 1, 0);
    }
    if (usage !== undefined && usage.output > 15) {
        average('ig_turns', 'speed ' + variables.ig_model, usage.output / Number(variables.request_time));
    }
    return '';
}

// A moving average over about ten values.
function average(zone, key, value) {
    if (value > 0 && value < Infinity) {
        const known = ngx.shared[zone].get(key);
        ngx.shared[zone].set(key, known === undefined ? value : known * 0.9 + value * 0.1);
    }
}

export default { filter, settle };
