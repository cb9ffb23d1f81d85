// unasked: takes out of a stream what only we asked for, the event with the usage, and nothing else. Without
// it vLLM would tell its system_fingerprint and llama.cpp its timings in the last event that has a choice; so
// that one waits for the next, and gets from the usage's event what is only there.
import * as events from './event_lines.js' with { load: 'lazy' };
import * as usages from './usages.js' with { load: 'lazy' };

// An empty line, where they end in \n or \r\n, in \r alone, or now so and now so. \r may have a \n behind it.
// https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream
const BLANK = '\n\n';
const BLANKS = ['\n\n', '\n\r', '\r\r'];
// Of an event that is none of the usage, and no last one of a choice: engines write it so, or as Python does.
const GOES_ON = ['"finish_reason":null', '"finish_reason": null'];
const LF = 0x0a, CR = 0x0d;
const DATA = 'data:', USAGE = '"usage"', FINISH = 'finish_reason';
// vLLM's of a request, which it tells with a usage alone.
const METRICS = 'metrics';

// add: is given each event as it came, before anything is taken out (stream_kept.js).
function open(add) {
    let waiting;   // the last event of a choice
    let torn;      // the start of an event that is not complete yet
    let usual = '';   // how the last event ended that passed as it is, from where it says so

    // Whether a piece passes as it is: all of its last event is there, and says that the choice goes on. From there
    // most engines end each with the same bytes, which answer.js compares: a search takes more than all else.
    function goesOn(data) {
        const at = isHolding() ? -1 : whereItGoesOn(data);
        usual = at === -1 ? '' : data.toString('utf8', at);
        return at !== -1;
    }

    // What goes to the client now. What is not a complete event is kept until the rest of it comes.
    function pass(data) {
        const all = torn === undefined ? data : Buffer.concat([torn, data]);
        const length = all.length;
        let cut = Math.max(0, lastEnd(all));
        torn = undefined;
        if (cut < length && length - cut < events.LONGEST) {
            torn = Buffer.from(all.slice(cut));
        } else {
            cut = length;
        }
        const passed = [];
        eventsOf(all, cut).forEach((event) => passEvent(event, passed));
        return Buffer.concat(passed);
    }

    // Adds to `passed` what goes to the client now of an event, with its end.
    function passEvent(event, passed) {
        add(event);
        const told = event.indexOf(FINISH) !== -1 || event.indexOf(USAGE) !== -1 ? objectOf(event) : undefined;
        const choices = told === undefined ? undefined : told.choices;
        const isChoices = Array.isArray(choices);
        if (isChoices && choices.length === 0 && told.usage) {
            waiting = waiting === undefined ? undefined : withMore(waiting, told);
            passWaiting(passed);
            return;
        }
        passWaiting(passed);
        if (isChoices && choices.some((choice) => choice && choice.finish_reason)) {
            waiting = Buffer.from(event);
        } else {
            passed.push(event);
        }
    }

    function passWaiting(passed) {
        if (waiting !== undefined) {
            passed.push(waiting);
            waiting = undefined;
        }
    }

    // What is left at the end, piece by piece.
    function rest() {
        const passed = [];
        if (torn !== undefined) {
            passEvent(torn, passed);
            torn = undefined;
        }
        passWaiting(passed);
        return passed;
    }

    // Whether something came that has not gone to the client.
    function isHolding() {
        return torn !== undefined || waiting !== undefined;
    }

    return { goesOn, pass, rest, isHolding, usual: () => usual };
}

// Of its last event, where that is complete; else -1.
function whereItGoesOn(data) {
    for (let i = 0; i < GOES_ON.length; i++) {
        const at = data.lastIndexOf(GOES_ON[i]);
        if (at !== -1 && data.indexOf(BLANK, at) === data.length - BLANK.length) {
            return at;
        }
    }
    return -1;
}

// The events of what ends at `cut`.
function eventsOf(data, cut) {
    const found = [];
    for (let start = 0, end; start < cut; start = end) {
        end = endOf(data, start);
        end = end === -1 ? cut : end;
        found.push(data.slice(start, end));
    }
    return found;
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
    const strip = open(() => undefined);
    const passed = strip.pass(Buffer.from(text));
    return Buffer.concat([passed].concat(strip.rest())).toString();
}

export { open, without };
