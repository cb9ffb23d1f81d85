// Usage: who used how much of what, over time; as a table, a picture, and a file for a spreadsheet.

import {get} from '../ask.js';
import {fill, h} from '../dom.js';
import {bars, button, choice, failed, loading, nothing, panel, same, table, to, word} from '../parts.js';
import {count, money, NONE, number, percent, seconds, zone} from '../words.js';

const BY = [['key', 'Key'], ['team', 'Team'], ['model', 'Model'], ['backend', 'Backend'], ['hour', 'Hour'], ['day', 'Day']];
const SPANS = [['1', 'Day'], ['7', 'Week'], ['30', 'Month'], ['365', 'Year']];
const ONLY = ['key', 'team', 'model', 'backend'];
const NUMBERS = ['requests', 'errors', 'prompt_tokens', 'completion_tokens', 'cached_tokens', 'estimated', 'duration_ms', 'cost'];

export async function show({place, head, query, said, isCurrent}) {
    const wanted = {by: query.by || 'key', days: SPANS.some(([days]) => days === query.days) ? query.days : '30'};
    ONLY.forEach((name) => {
        wanted[name] = query[name] ?? '';
    });
    const picture = h('div', {class: 'pictures'});
    const list = h('div', {}, loading());
    const filters = h('div', {class: 'row small'});
    head.append(h('span', {class: 'far'}, choice('Time', SPANS, wanted.days, (days) => {
        wanted.days = days;
        look();
    }), button('CSV', async () => download(await rows(wanted, 1e5), wanted))));
    fill(place, h('div', {class: 'row', style: {'margin-bottom': '12px'}}, h('span', {class: 'quiet'}, 'By'), choice('By', BY, wanted.by, (by) => {
        wanted.by = by;
        look();
    }), filters), picture, panel(null, list));
    let asked = 0;

    function address() {
        return {by: wanted.by === 'key' ? null : wanted.by, days: wanted.days === '30' ? null : wanted.days, ...Object.fromEntries(ONLY.map((name) => [name, wanted[name]]))};
    }

    async function look() {
        const mine = ++asked;
        said(address());
        fill(filters, ONLY.filter((name) => wanted[name]).map((name) => h('button', {type: 'button', 'aria-label': `Do not look at ${name} ${wanted[name]} alone`, onclick: () => {
            wanted[name] = '';
            look();
        }}, `${name}: ${wanted[name]} ✕`)));
        const over = wanted.days === '1' ? 'hour' : 'day';
        try {
            const [table_, time] = await Promise.all([rows(wanted, 1000), rows({...wanted, by: over}, 1000)]);
            if (mine === asked && isCurrent()) {
                draw(table_, time, over);
            }
        } catch (problem) {
            fill(list, failed(problem));
        }
    }

    function draw(found, time, over) {
        const at = (row) => Date.parse(over === 'hour' ? row.hour : `${row.day}T00:00Z`) / 1000;
        const step = over === 'hour' ? 3600 : 86400;
        const steps = over === 'hour' ? 24 : Number(wanted.days);
        const from = Math.floor(Date.now() / 1000 / step) * step - (steps - 1) * step;
        const sum = (name) => time.items.reduce((all, row) => all + row[name], 0);
        const what = over === 'hour' ? 'an hour' : 'a day';
        fill(picture,
            bars(`Requests ${what}`, time.items.map((row) => ({at: at(row), value: row.requests, bad: row.errors, said: `${row[over]}: ${count(row.requests, 'request')}, ${count(row.errors, 'failure')}`})), from, step, steps, {now: number(sum('requests')), empty: 'none in this time'}),
            bars(`Tokens ${what}`, time.items.map((row) => ({at: at(row), value: row.prompt_tokens + row.completion_tokens, said: `${row[over]}: ${number(row.prompt_tokens)} in, ${number(row.completion_tokens)} out`})), from, step, steps, {now: number(sum('prompt_tokens') + sum('completion_tokens')), empty: 'none in this time'}),
            sum('cost') > 0 && bars(`Cost ${what}, ${found.currency}`, time.items.map((row) => ({at: at(row), value: row.cost, said: `${row[over]}: ${money(row.cost, found.currency)}`})), from, step, steps, {now: money(sum('cost'), found.currency)}));
        if (found.items.length === 0) {
            fill(list, nothing('Nothing was used in this time.'), wanted.days !== '365' && h('p', {class: 'quiet small'}, 'A longer time may have something.'));
            return;
        }
        const field_ = wanted.by;
        const isTime = field_ === 'hour' || field_ === 'day';
        const total = sum('prompt_tokens') + sum('completion_tokens');
        const items = isTime ? [...found.items].reverse() : found.items;
        fill(list, table('Usage', [[BY.find(([by]) => by === field_)?.[1] ?? 'What', 'name'], ['Requests', 'n'], ['Failed', 'n'], ['Tokens in', 'n'], ['cached', 'n'], ['Tokens out', 'n'], ['Share', 'n'], ['Seconds each', 'n'], ['Cost', 'n']],
            h('tbody', {}, items.map((row) => h('tr', {},
                h('th', {scope: 'row', class: 'name'}, isTime ? row[field_].replace('T', ' ').replace('Z', ' UTC') : row[field_] ? only(row[field_]) : h('span', {class: 'quiet'}, `no ${field_}`)),
                h('td', {class: 'n'}, ['key', 'model', 'backend'].includes(field_) && row[field_] ? to('requests', {[field_]: row[field_]}, number(row.requests)) : number(row.requests)),
                h('td', {class: row.errors ? 'n bad' : 'n'}, row.errors ? `${number(row.errors)} (${percent(row.errors / row.requests)})` : NONE),
                h('td', {class: 'n'}, number(row.prompt_tokens)), h('td', {class: 'n'}, row.cached_tokens ? number(row.cached_tokens) : NONE),
                h('td', {class: 'n'}, number(row.completion_tokens)),
                h('td', {class: 'n'}, total ? percent((row.prompt_tokens + row.completion_tokens) / total) : NONE),
                h('td', {class: 'n'}, seconds(row.duration_ms / 1000 / row.requests)), h('td', {class: 'n'}, money(row.cost, found.currency)))))),
        found.next !== null && nothing('These are the largest 1,000; the CSV has all.'),
        same(`infergate usage --by ${field_} --since ${wanted.days}d${ONLY.filter((name) => wanted[name]).map((name) => ` --${name} ${word(wanted[name])}`).join('')}`),
        h('p', {class: 'quiet small'}, `Hours and days are those of UTC; you are in ${zone}.`));
    }

    // One more thing to tell apart: what this one did, by day.
    function only(value) {
        return h('button', {type: 'button', class: 'bare', title: 'Only this one', onclick: () => {
            const name = wanted.by;
            wanted[name] = value;
            wanted.by = name === 'model' ? 'key' : 'model';
            said(address());
            place.querySelectorAll('[aria-label="By"] button').forEach((each) => each.setAttribute('aria-pressed', String(each.textContent === BY.find(([by]) => by === wanted.by)[1])));
            look();
        }}, value);
    }

    await look();
    return null;
}

async function rows(wanted, most) {
    const since = Math.floor(Date.now() / 1000) - Number(wanted.days) * 86400;
    const items = [];
    let after = 0;
    let page;
    do {
        page = await get('/usage', {by: wanted.by, since, after, limit: 1000, ...Object.fromEntries(ONLY.map((name) => [name, wanted[name]]))});
        items.push(...page.items);
        after = page.next;
    } while (after !== null && items.length < most);
    return {items, next: page.next, currency: page.currency};
}

// A cell that a spreadsheet would take for a formula is told to be a text.
const cell = (value) => {
    const text = String(value);
    const harmless = typeof value === 'string' && /^[=+\-@\t\r]/.test(text) ? `'${text}` : text;
    return /[",\n\r]/.test(harmless) ? `"${harmless.replaceAll('"', '""')}"` : harmless;
};

function download(found, wanted) {
    const columns = [wanted.by, ...NUMBERS];
    const lines = [[...columns, 'currency'], ...found.items.map((row) => [...columns.map((name) => row[name]), found.currency])];
    const blob = new Blob([lines.map((line) => line.map(cell).join(',')).join('\r\n') + '\r\n'], {type: 'text/csv'});
    const link = h('a', {href: URL.createObjectURL(blob), download: `usage-by-${wanted.by}-${wanted.days}d.csv`});
    document.body.append(link);
    link.click();
    link.remove();
    setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}
