// stream: an answer in events (SSE) or lines (NDJSON), piece by piece. See answer.js.
//
// A search through a piece of 200 bytes takes 6,500 instructions of njs 0.8.9, three of them more than
// everything else that is done for the piece. What matters in OpenAI's streams stands at their end, so
// there the last pieces are kept and searched once. Buffer.copy into memory that is there already,
// because njs frees nothing that a request makes before it is over.

import held from 'held.js';   // rarely

const USAGE = '"usage"';
// An event is a few hundred bytes; two in a piece are counted when they could be.
const TWO_EVENTS = 400;
const LONGEST_EVENT = 1048576;
// What comes between two looks at how much is held: so many times KEPT of small pieces, where a large
// one counts as so many.
const MOST = 64, LARGE = 8;
// Of what came last: this much at least, and up to twice as much. A usage takes up to 500 bytes.
const KEPT = 2048;

// hold: state.js's.
function open(r, isSse, hold) {
    const strip = isSse && r.variables.ig_note === 'strip';   // the usage was asked for by us alone
    const state = { events: 0, failed: '', usage: undefined };
    const endTells = isSse && isOpenAI();
    const recent = endTells ? Buffer.alloc(2 * KEPT) : undefined;
    let filled = 0;        // bytes of `recent`
    let pieces = 0;
    let ended = false;     // the stream's own end was seen
    let begun;             // the start of an event that is not complete yet
    let weight = 0;        // of what came since `holding` was asked
    let holding;           // held.js's state

    // data is empty when nginx has no more: flags.last says whether the answer is complete. One empty
    // piece can come with the headers.
    function filter(data, flags) {
        if (data.length === 0) {
            if (pieces === 0 && !flags.last) {
                r.sendBuffer(data, flags);
            } else {
                finish(flags);
            }
            return;
        }
        pieces++;
        state.events += data.length < TWO_EVENTS ? 1 : countEvents(data);
        if (strip && (begun !== undefined || data.indexOf(USAGE) !== -1 || !endsEvent(data))) {
            lookBack();   // in the order they came
            data = withoutUsage(data);
        } else if (endTells) {
            remember(data);
        } else {
            look(data);
            weigh(data.length > KEPT);
        }
        if (flags.last) {
            r.sendBuffer(data, { last: false, flush: false });
            finish(flags);
            return;
        }
        r.sendBuffer(data, flags);
    }

    // Now and then: whether what is held is too much. The piece at hand goes out; what comes after it
    // goes on without this filter.
    function weigh(isLarge) {
        weight += isLarge ? LARGE : 1;
        if (weight >= MOST) {
            weight = 0;
            holding = holding || held.open(r, hold);
            if (holding.isTooMuch(0)) {
                r.done();
            }
        }
    }

    // The stream of a backend that compresses though it is asked not to: nothing in it can be read, and
    // nothing added without making all of it unreadable. That it breaks off is the sign then.
    function encoded(data, flags) {
        pieces++;
        state.events++;
        if (data.length === 0 && !flags.last && pieces > 1) {
            state.failed = 'stream_truncated';
        }
        r.sendBuffer(data, flags);
    }

    function isOpenAI() {
        return r.uri === '/v1/chat/completions' || r.uri === '/v1/completions';
    }

    // A piece that goes on unchanged, where it is soon enough to look at it in the end.
    function remember(data) {
        const length = Math.min(data.length, KEPT);
        if (filled + length > 2 * KEPT) {
            recent.copy(recent, 0, filled - KEPT, filled);
            filled = KEPT;
            weigh(length === KEPT);
        }
        data.copy(recent, filled, data.length - length);
        filled += length;
    }

    function lookBack() {
        if (filled === 0) {
            return;
        }
        const last = recent.slice(0, filled);
        filled = 0;
        look(last);
        // A comment may stand after it.
        ended = ended || last.lastIndexOf('\ndata: [DONE]') !== -1 || last.lastIndexOf('\ndata:[DONE]') !== -1;
    }

    function countEvents(data) {
        const mark = isSse ? 'data:' : '\n';
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

    function look(data) {
        if (!isSse) {
            lookAtLines(data);
            return;
        }
        const length = data.length;
        // "data: [DONE]" and what ends an event after it.
        if (length > 11 && (data[length - 3] === 0x5d || data[length - 5] === 0x5d || data[length - 2] === 0x5d)
            && data.indexOf('[DONE]') !== -1) {
            ended = true;
        }
        const at = data.lastIndexOf(USAGE);   // the ones before may say null
        if (at !== -1) {
            takeUsage(data.slice(at).toString());
        }
        if (data.indexOf('error') !== -1) {
            takeError(data.toString());
        }
    }

    // Ollama's lines: the last one says done and counts.
    function lookAtLines(data) {
        if (data.indexOf('"done":true') !== -1 || data.indexOf('"done": true') !== -1) {
            const text = data.toString();
            ended = true;
            state.usage = [number(text, 'prompt_eval_count'), number(text, 'eval_count'), 0];
        } else if (data.indexOf('{"error"') !== -1) {
            ended = true;
            state.failed = 'stream_error';
        } else if (data.indexOf('"status":"success"') !== -1) {
            ended = true;
        }
    }

    // The same, where an event that has nothing but the usage is left out. What is not a complete
    // event is kept until the rest of it comes.
    function withoutUsage(data) {
        const all = begun === undefined ? data : Buffer.concat([begun, data]);
        const length = all.length;
        const unix = all.lastIndexOf('\n\n');
        const dos = all.lastIndexOf('\r\n\r\n');
        let cut = Math.max(unix === -1 ? 0 : unix + 2, dos === -1 ? 0 : dos + 4);
        begun = undefined;
        if (cut < length && length - cut < LONGEST_EVENT) {
            begun = Buffer.from(all.slice(cut));
        } else {
            cut = length;
        }
        const kept = [];
        for (let start = 0, end; start < cut; start = end) {
            end = endOfEvent(all, start, cut);
            const event = all.slice(start, end);
            look(event);
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

    function takeUsage(text) {
        const told = usageIn(text);
        if (told !== undefined) {
            const known = state.usage || [0, 0, 0];
            // Anthropic tells in two parts.
            state.usage = [told[0] || known[0], told[1] || known[1], told[2] || known[2]];
        }
    }

    // Engines put errors into streams that began with 200.
    function takeError(text) {
        if (text.indexOf('event: error') !== -1) {
            ended = true;
            state.failed = 'stream_error';
        }
        text.split('\n').forEach((line) => {
            if (line.startsWith('data:') && line.indexOf('"error"') !== -1) {
                try {
                    const parsed = JSON.parse(line.slice(5));
                    if (parsed.error || parsed.object === 'error' || parsed.type === 'error') {
                        ended = true;
                        state.failed = 'stream_error';
                    }
                } catch (e) {
                    // a word in a text, or half an event
                }
            }
        });
    }

    // The end: complete, or not.
    function finish(flags) {
        lookBack();
        let last = begun;
        begun = undefined;
        if (last !== undefined) {
            look(last);
            if (flags.last && isOnlyUsage(last)) {
                last = undefined;
            }
        }
        if (last !== undefined) {
            r.sendBuffer(last, { last: false, flush: false });
        }
        if (!ended && (!flags.last || endsWithDone())) {
            state.failed = flags.last ? 'stream_ended_early' : 'stream_truncated';
            r.sendBuffer(errorEvent(), { last: flags.last, flush: true });
            return;
        }
        r.sendBuffer('', flags);
    }

    // Streams of which the end is known; one that was closed without it was cut.
    function endsWithDone() {
        return isOpenAI() || r.uri === '/api/chat' || r.uri === '/api/generate';
    }

    function errorEvent() {
        const message = 'The backend broke off in the middle of its answer.';
        if (!isSse) {
            return '\n' + JSON.stringify({ error: message }) + '\n';
        }
        if (r.uri.startsWith('/v1/messages')) {
            return '\n\nevent: error\ndata: '
                + JSON.stringify({ type: 'error', error: { type: 'api_error', message } }) + '\n\n';
        }
        if (r.uri.startsWith('/v1/responses')) {
            return '\n\nevent: error\ndata: '
                + JSON.stringify({ type: 'error', code: 'server_error', message, param: null }) + '\n\n';
        }
        return '\n\ndata: ' + JSON.stringify({
            error: { message, type: 'server_error', param: null, code: 'stream_truncated' },
        }) + '\n\n';
    }

    // [prompt, completion, cached] tokens as they were told until now.
    function usage() {
        lookBack();
        return state.usage;
    }

    return {
        filter: (r.headersOut['Content-Encoding'] || 'identity') === 'identity' ? filter : encoded,
        state, usage, holding: () => holding, failed: () => state.failed !== '',
    };
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

// The text of a whole stream without the usage.
function withoutUsage(text) {
    const end = text.indexOf('\r\n\r\n') === -1 ? '\n\n' : '\r\n\r\n';
    return text.split(end).filter((event) => !isOnlyUsage(event)).join(end);
}

function number(text, name) {
    const at = text.lastIndexOf('"' + name + '":');
    return at === -1 ? 0 : parseInt(text.slice(at + name.length + 3), 10) || 0;
}

// [prompt, completion, cached] tokens of the object behind the last "usage"; undefined if there is
// none. The names are OpenAI's, or the Responses API's and Anthropic's.
function usageIn(text) {
    const open = text.indexOf('{', USAGE.length);
    if (open === -1 || text.slice(USAGE.length, open).trim() !== ':') {
        return undefined;
    }
    let depth = 0;
    for (let at = open; at < text.length; at++) {
        const code = text.charCodeAt(at);
        if (code === 0x7b) {
            depth++;
        } else if (code === 0x7d && --depth === 0) {
            try {
                const told = JSON.parse(text.slice(open, at + 1));
                const details = told.prompt_tokens_details || told.input_tokens_details || {};
                return [
                    Number(told.prompt_tokens !== undefined ? told.prompt_tokens : told.input_tokens) || 0,
                    Number(told.completion_tokens !== undefined ? told.completion_tokens : told.output_tokens) || 0,
                    Number(details.cached_tokens || told.cache_read_input_tokens) || 0,
                ];
            } catch (e) {
                return undefined;   // the word stood in somebody's text
            }
        }
    }
    return undefined;
}

export default { open, usageIn, withoutUsage, number };
