// unasked: takes out of a stream what only we asked for, the event with the usage, and nothing else. Without
// it vLLM would tell its system_fingerprint and llama.cpp its timings in the last event that has a choice; so
// that one waits for the next, and gets from the usage's event what is only there.
import * as events from './event_lines.js' with { load: 'lazy' };
import * as usages from './usages.js' with { load: 'lazy' };

// An empty line, where they end in \n or \r\n, in \r alone, or now so and now so. \r may have a \n behind it.
// https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream
const BLANK = '\n\n';
const BLANKS = ['\n\n', '\n\r', '\r\r'];
const LF = 0x0a, CR = 0x0d;
const DATA = 'data:', USAGE = '"usage"', FINISH = 'finish_reason';
// vLLM's of a request, which it tells with a usage alone.
const METRICS = 'metrics';

function open() {
    let waiting;   // the last event of a choice

    // Adds to `passed` what goes to the client now of an event, with its end.
    function pass(event, passed) {
        const told = event.indexOf(FINISH) !== -1 || event.indexOf(USAGE) !== -1 ? objectOf(event) : undefined;
        const choices = told === undefined ? undefined : told.choices;
        const isChoices = Array.isArray(choices);
        if (isChoices && choices.length === 0 && told.usage) {
            waiting = waiting === undefined ? undefined : withMore(waiting, told);
            rest(passed);
            return;
        }
        rest(passed);
        if (isChoices && choices.some((choice) => choice && choice.finish_reason)) {
            waiting = Buffer.from(event);
        } else {
            passed.push(event);
        }
    }

    // The same at the end.
    function rest(passed) {
        if (waiting !== undefined) {
            passed.push(waiting);
            waiting = undefined;
        }
    }

    return { pass, rest, isWaiting: () => waiting !== undefined, endOf, lastEnd };
}

// Where the first event ends, from `start` on; -1 for none.
function endOf(data, start) {
    return nearest(data, (blank) => data.indexOf(blank, start), (a, b) => a < b);
}

// Where the last one ends.
function lastEnd(data) {
    return nearest(data, (blank) => data.lastIndexOf(blank), (a, b) => a > b);
}

function nearest(data, find, isNearer) {
    let at = -1;
    (data.indexOf(CR) === -1 ? [BLANK] : BLANKS).forEach((blank) => {
        const found = find(blank);
        at = found !== -1 && (at === -1 || isNearer(found, at)) ? found : at;
    });
    return at === -1 ? -1 : at + (data[at + 1] === CR && data[at + 2] === LF ? 3 : 2);
}

// Of its data, whatever stands beside it: a comment, its name, its number.
function objectOf(event) {
    const lines = events.linesOf(event.toString()).filter((line) => line.startsWith(DATA));
    return usages.objectOf(lines.map((line) => line.slice(DATA.length)).join('\n'));
}

function withMore(event, told) {
    const known = objectOf(event);
    const text = event.toString();
    const data = text.lastIndexOf(DATA);
    const end = text.lastIndexOf('}', data + (text.slice(data) + '\n').search(/[\r\n]/));   // what may follow is no data
    let more = '';
    for (const name in told) {
        if (known[name] === undefined && told[name] !== null && name !== 'usage' && name !== METRICS) {
            more += ',' + JSON.stringify(name) + ':' + JSON.stringify(told[name]);
        }
    }
    return more === '' ? event : Buffer.from(text.slice(0, end) + more + text.slice(end));
}

// The text of a whole stream without it.
function without(text) {
    const data = Buffer.from(text);
    const passed = [];
    const filter = open();
    for (let start = 0, end; start < data.length; start = end) {
        end = endOf(data, start);
        end = end === -1 ? data.length : end;
        filter.pass(data.slice(start, end), passed);
    }
    filter.rest(passed);
    return Buffer.concat(passed).toString();
}

export { open, without };
