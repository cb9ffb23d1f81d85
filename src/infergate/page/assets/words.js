// words: numbers and times as people read them. Three significant digits, units, and the exact value
// for who asks for it.

import {h} from './dom.js';

const ZONE = Intl.DateTimeFormat().resolvedOptions().timeZone;
const EXACT = new Intl.DateTimeFormat(undefined, {dateStyle: 'medium', timeStyle: 'medium'});
const CLOCK = new Intl.DateTimeFormat(undefined, {hour: '2-digit', minute: '2-digit', second: '2-digit', hour12: false});
const SHORT = new Intl.DateTimeFormat(undefined, {hour: '2-digit', minute: '2-digit', hour12: false});
const DAY = new Intl.DateTimeFormat(undefined, {month: 'short', day: 'numeric'});

export const zone = ZONE;
export const NONE = '–';

// 1234 → 1.23 k. null → –
export function number(value) {
    if (value === null || value === undefined || !Number.isFinite(Number(value))) {
        return NONE;
    }
    const size = Math.abs(value);
    for (const [unit, of] of [['G', 1e9], ['M', 1e6], ['k', 1e4]]) {
        if (size >= of) {
            const by = unit === 'k' ? 1e3 : of;
            return `${three(value / by)} ${unit}`;
        }
    }
    return three(value);
}

function three(value) {
    const size = Math.abs(value);
    if (Number.isInteger(value)) {
        return String(value);
    }
    return size >= 100 ? String(Math.round(value)) : String(Number(value.toPrecision(size >= 0.001 ? 3 : 1)));
}

// 0.0123 → 12.3 ms; 75 → 1 min 15 s
export function seconds(value) {
    if (value === null || value === undefined) {
        return NONE;
    }
    if (value < 1) {
        return `${three(value * 1000)} ms`;
    }
    if (value < 60) {
        return `${three(value)} s`;
    }
    for (const [unit, of, next, below] of [['d', 86400, 'h', 3600], ['h', 3600, 'min', 60], ['min', 60, 's', 1]]) {
        if (value >= of) {
            const rest = Math.floor((value % of) / below);
            return `${Math.floor(value / of)} ${unit}${rest > 0 ? ` ${rest} ${next}` : ''}`;
        }
    }
    return NONE;
}

export function percent(value) {
    return value === null || value === undefined ? NONE : `${three(value * 100)} %`;
}

export function bytes(value) {
    for (const [unit, of] of [['GiB', 2 ** 30], ['MiB', 2 ** 20], ['KiB', 2 ** 10]]) {
        if (value >= of) {
            return `${three(value / of)} ${unit}`;
        }
    }
    return `${value} B`;
}

// Of what somebody else named: its beginning.
export function brief(text, most = 60) {
    const signs = [...text];
    return signs.length > most ? `${signs.slice(0, most).join('')}…` : text;
}

export function count(value, one, many = `${one}s`) {
    return `${number(value)} ${value === 1 ? one : many}`;
}

export const clock = (at) => CLOCK.format(new Date(at * 1000));
export const short = (at) => SHORT.format(new Date(at * 1000));
export const day = (at) => DAY.format(new Date(at * 1000));
export const exact = (at) => `${EXACT.format(new Date(at * 1000))} (${ZONE})`;

function relative(at) {
    const gone = Date.now() / 1000 - at;
    const size = Math.abs(gone);
    const said = size < 10 ? 'now' : size < 60 ? `${Math.floor(size / 10) * 10} s` : largest(size);
    return said === 'now' ? said : gone > 0 ? `${said} ago` : `in ${said}`;
}

function largest(size) {
    for (const [unit, of] of [['y', 31557600], ['mo', 2629800], ['d', 86400], ['h', 3600], ['min', 60]]) {
        if (size >= of) {
            return `${Math.floor(size / of)} ${unit}`;
        }
    }
    return '';
}

// A moment: how long ago, and the exact time for who rests on it.
export function ago(at) {
    if (at === null || at === undefined) {
        return NONE;
    }
    return h('time', {datetime: new Date(at * 1000).toISOString(), title: exact(at), 'data-at': at}, relative(at));
}

setInterval(() => {
    for (const each of document.querySelectorAll('time[data-at]')) {
        const said = relative(Number(each.dataset.at));
        if (each.textContent !== said) {
            each.textContent = said;
        }
    }
}, 5000);

// Money as the gateway counts it: small amounts need more digits.
export function money(value, currency) {
    return value === 0 ? NONE : `${value < 0.01 ? value.toPrecision(2) : value.toFixed(2)} ${currency}`;
}
