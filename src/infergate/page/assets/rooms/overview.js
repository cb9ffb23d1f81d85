// Overview: is it well, who waits, what is it doing.

import {get} from '../ask.js';
import {fill, h, keep} from '../dom.js';
import * as live from '../live.js';
import {bars, choice, copier, loading, marks, nothing, panel, table, to} from '../parts.js';
import {ago, count, NONE, number, percent, seconds} from '../words.js';
import {inUse, stateOf} from './backend_words.js';
import {sentence} from './request_words.js';

const RANGES = [['hour', 'Last hour'], ['day', 'Day'], ['month', 'Month']];
const STEPS = {hour: [60, 60], day: [3600, 24], month: [86400, 30]};
const FEW = 20;

export async function show({place, head, query, said}) {
    let range = RANGES.some(([name]) => name === query.range) ? query.range : 'hour';
    let whole = query.all === '1';
    const verdict = h('div');
    const pictures = h('div', {class: 'pictures'});
    const models = h('div', {}, loading());
    const backends = h('div', {}, loading());
    const failures = h('div', {}, loading());
    head.append(h('span', {class: 'far'}, choice('Time', RANGES, range, (chosen) => {
        range = chosen;
        said({range: range === 'hour' ? null : range, all: whole ? 1 : null});
        past = null;
        draw();
        lookBack();
    })));
    fill(place, verdict, pictures,
        panel('Models', models),
        h('div', {class: 'two'}, panel('Backends', backends), panel('Last failures', failures)));

    let past = null;
    let failing = null;
    let isOver = false;

    async function lookBack() {
        const wanted = range;
        if (wanted !== 'hour') {
            const [step, steps] = STEPS[wanted];
            const since = Math.floor(Date.now() / 1000 / step) * step - (steps - 1) * step;
            const by = wanted === 'day' ? 'hour' : 'day';
            const [over, each, began] = await Promise.all([
                get('/usage', {by, since, limit: 1000}), get('/usage', {by: 'model', since, limit: 1000}),
                get('/first-bytes', {by, since}),
            ]);
            if (wanted === range && !isOver) {
                past = {since, by, over: over.items, models: each.items, began};
                draw();
            }
        }
    }

    async function lookAtFailures() {
        failing = (await get('/requests', {failed: true, limit: 10})).items;
        drawFailures();
    }

    function drawFailures() {
        if (failing === null) {
            return;
        }
        if (failing.length === 0) {
            fill(failures, nothing('None in the log.'));
            return;
        }
        const list = failures.querySelector('ul') ?? fill(failures, h('ul', {class: 'plain'})).firstChild;
        keep(list, failing, (each) => each.id, (each) => h('li', {}, ago(each.ts), ' ', to('requests', {id: each.id, failed: 1}, sentence(each))));
    }

    function draw() {
        const {live: found, status} = live.now;
        if (found === null) {
            return;
        }
        drawVerdict(verdict, found, status);
        drawPictures(pictures, found, range, past);
        drawModels(models, found, range, past, whole, () => {
            whole = true;
            said({range: range === 'hour' ? null : range, all: 1});
            draw();
        });
        if (status !== null) {
            drawBackends(backends, status, found);
        }
    }

    const end = live.listen((kind) => {
        if (kind === 'live' && failing !== null) {
            const bad = live.now.live.requests.filter((each) => each.status >= 400 || each.status === 0);
            const known = new Set(failing.map((each) => each.id));
            failing = [...bad.filter((each) => !known.has(each.id)), ...failing].slice(0, 10);
            drawFailures();
        }
        draw();
    });
    draw();
    await Promise.all([lookBack(), lookAtFailures()]);
    return () => {
        isOver = true;
        end();
    };
}

function drawVerdict(place, found, status) {
    const wrong = [];
    if (!found.running) {
        wrong.push('The gateway does not answer: nginx is not running. `infergate up` starts it.');
    }
    if (status !== null) {
        const out = status.backends.filter((each) => ['down', 'hung'].includes(each.state));
        if (out.length > 0) {
            const names = out.slice(0, 3).map((each) => each.name).join(', ') + (out.length > 3 ? ' …' : '');
            wrong.push(`${count(out.length, 'backend is', 'backends are')} out: ${names}.`);
        }
        if (status.running && status.processes.control === null) {
            wrong.push('The control plane is not running: nothing is probed or counted.');
        }
        if (status.ledger?.problem) {
            wrong.push(`Counting has stopped: ${status.ledger.problem}. ${status.ledger.hint}`);
        }
        for (const each of status.failing) {
            wrong.push(`Failing since a while: ${each.loop}: ${each.problem}`);
        }
        if (!status.file_applied) {
            wrong.push('The configuration’s file is not what is active: Configuration has the plan.');
        }
    }
    const lately = found.models.reduce((sum, each) => sum + each.requests_per_s, 0);
    const flying = Object.values(found.in_flight).reduce((sum, each) => sum + each, 0);
    const doing = `${pace(lately)}, ${number(flying)} in flight, ${found.waiting === 0 ? 'nobody waits' : `${count(found.waiting, 'request waits', 'requests wait')}`}.`;
    const key = JSON.stringify([wrong, doing]);
    if (place.said === key) {
        return;
    }
    place.said = key;
    if (wrong.length > 0) {
        fill(place, h('div', {class: 'banner trouble'}, wrong.map((each) => h('p', {}, each)), h('p', {}, doing)));
    } else {
        fill(place, h('div', {class: 'banner'}, h('strong', {}, 'All is well. '), doing));
    }
}

/** Requests in the unit in which they are more than a fraction. */
function pace(perSecond) {
    return perSecond < 1 ? `${number(60 * perSecond)} requests a minute` : `${number(perSecond)} requests a second`;
}

function drawPictures(place, found, range, past) {
    const [step, steps] = STEPS[range];
    if (range === 'hour') {
        const from = Math.floor(found.at / 60) * 60 - (steps - 1) * step;
        const lately = found.models.reduce((sum, each) => sum + each.tokens_per_s, 0);
        const all = found.minutes;
        const first = all.at(-1)?.first_byte_p95_s;
        fill(place,
            bars('Requests a minute', all.map((each) => ({at: each.begun, value: each.requests, bad: each.errors, said: `${count(each.requests, 'request')}, ${count(each.errors, 'failure')}`})), from, step, steps,
                {now: `${number(60 * found.models.reduce((sum, each) => sum + each.requests_per_s, 0))} /min`, empty: 'none in the last hour'}),
            bars('First byte, 95 % sooner', all.map((each) => ({at: each.begun, value: each.first_byte_p95_s ?? 0, said: seconds(each.first_byte_p95_s)})), from, step, steps,
                {now: first === undefined || first === null ? NONE : seconds(first), empty: 'no answers in the last hour', as: seconds}),
            bars('Tokens of answers a second', all.map((each) => ({at: each.begun, value: each.output_tokens / 60, said: `${number(each.output_tokens)} tokens`})), from, step, steps,
                {now: `${number(lately)} /s`, empty: 'none in the last hour'}));
        return;
    }
    if (past === null) {
        fill(place, loading());
        return;
    }
    const at = (row) => Date.parse(range === 'day' ? row.hour : `${row.day}T00:00Z`) / 1000;
    const what = range === 'day' ? 'an hour' : 'a day';
    const sum = (name) => past.over.reduce((all, row) => all + row[name], 0);
    fill(place,
        bars(`Requests ${what}`, past.over.map((row) => ({at: at(row), value: row.requests, bad: row.errors, said: `${count(row.requests, 'request')}, ${count(row.errors, 'failure')}`})), past.since, step, steps, {now: number(sum('requests'))}),
        bars('First byte, 95 % sooner', past.began.items.map((each) => ({at: each.begun, value: each.first_byte_p95_s, said: `${seconds(each.first_byte_p95_s)}, of ${count(each.answers, 'answer')}`})), past.since, step, steps,
            {now: past.began.first_byte_p95_s === null ? NONE : seconds(past.began.first_byte_p95_s), empty: 'no answers in this time', as: seconds}),
        bars(`Tokens ${what}`, past.over.map((row) => ({at: at(row), value: row.prompt_tokens + row.completion_tokens, said: `${number(row.prompt_tokens)} in, ${number(row.completion_tokens)} out`})), past.since, step, steps,
            {now: number(sum('prompt_tokens') + sum('completion_tokens'))}));
}

function drawModels(place, found, range, past, whole, wantAll) {
    const url = live.now.status?.url ?? '';
    const isHour = range === 'hour';
    const rows = isHour ? [...found.models].sort((a, b) => b.requests - a.requests || a.model.localeCompare(b.model)) : past?.models;
    if (rows === undefined) {
        fill(place, loading());
        place.kind = '';
        return;
    }
    if (rows.length === 0) {
        if (place.kind !== 'empty') {
            place.kind = 'empty';
            fill(place, isHour ? first(url) : nothing('Nothing was asked in this time.'));
        }
        return;
    }
    const kind = `${range} ${whole || rows.length <= FEW}`;
    if (place.kind !== kind) {
        place.kind = kind;
        const body = h('tbody');
        const columns = isHour
            ? [['Model', 'name'], ['Requests/s', 'n'], ['First byte p95', 'n'], ['Tokens/s', 'n'], ['Waiting', 'n'], ['Failed', 'n'], ['Requests', 'n']]
            : [['Model', 'name'], ['Requests', 'n'], ['Failed', 'n'], ['Seconds each', 'n'], ['Tokens in', 'n'], ['Tokens out', 'n']];
        fill(place, table('Models', columns, body), !whole && rows.length > FEW && h('p', {}, h('button', {type: 'button', onclick: wantAll}, `All ${rows.length} models`)));
        place.body = body;
    }
    keep(place.body, whole ? rows : rows.slice(0, FEW), (each) => each.model, isHour ? nowRow : pastRow);
}

function nowRow(each) {
    return h('tr', {},
        h('th', {scope: 'row', class: 'name'}, each.model ? to('models', {name: each.model}, each.model) : h('span', {class: 'quiet'}, 'no model')),
        h('td', {class: 'n'}, number(each.requests_per_s)),
        h('td', {class: 'n'}, seconds(each.first_byte_p95_s)),
        h('td', {class: 'n'}, number(each.tokens_per_s)),
        h('td', {class: each.waiting ? 'n bad' : 'n'}, each.waiting || NONE),
        h('td', {class: each.errors ? 'n bad' : 'n'}, each.errors ? to('requests', {model: each.model, failed: 1}, `${number(each.errors)} (${percent(each.errors / each.requests)})`) : NONE),
        h('td', {class: 'n'}, to('requests', {model: each.model}, number(each.requests))));
}

function pastRow(each) {
    return h('tr', {},
        h('th', {scope: 'row', class: 'name'}, each.model ? to('models', {name: each.model}, each.model) : h('span', {class: 'quiet'}, 'no model')),
        h('td', {class: 'n'}, number(each.requests)),
        h('td', {class: each.errors ? 'n bad' : 'n'}, each.errors ? `${number(each.errors)} (${percent(each.errors / each.requests)})` : NONE),
        h('td', {class: 'n'}, seconds(each.duration_ms / 1000 / each.requests)),
        h('td', {class: 'n'}, number(each.prompt_tokens)),
        h('td', {class: 'n'}, number(each.completion_tokens)));
}

// Nothing was asked yet: how to, and what happens then.
function first(url) {
    const line = `curl ${url}/v1/chat/completions -H "Authorization: Bearer $INFERGATE_KEY" \\\n  -H "Content-Type: application/json" \\\n  -d '{"model": "MODEL", "messages": [{"role": "user", "content": "Hello"}]}'`;
    return h('div', {},
        h('p', {}, 'No requests in the last hour. The first one shows up here by itself:'),
        h('pre', {}, line),
        h('div', {class: 'row'}, copier(line), to('connect', {}, 'Settings for a program'), to('playground', {}, 'Try a model here')));
}

function drawBackends(place, status, found) {
    if (status.backends.length === 0) {
        fill(place, nothing('There are none. ', to('backends', {}, 'Add one'), '.'));
        return;
    }
    if (!place.body) {
        place.body = h('tbody');
        fill(place, table('Backends', [['Backend', 'name'], ['State'], ['In flight', 'n'], ['KV cache'], ['Models', 'name']], place.body));
    }
    const rows = status.backends.slice(0, 50).map((each) => ({...each, in_flight: found.in_flight[each.name] ?? each.in_flight}));
    keep(place.body, rows.map(({name, state, reason, in_flight, max_in_flight, kv_cache_use, models}) => ({name, state, reason, in_flight, max_in_flight, kv_cache_use, models: models.slice(0, 3), more: models.length - 3})), (each) => each.name, (each) =>
        h('tr', {},
            h('th', {scope: 'row', class: 'name'}, to('backends', {name: each.name}, each.name)),
            h('td', {}, stateOf(each.state), each.state !== 'up' && each.reason && h('div', {class: 'quiet small'}, each.reason)),
            h('td', {class: 'n'}, inUse(each)),
            h('td', {}, each.kv_cache_use === null ? NONE : percent(each.kv_cache_use)),
            h('td', {class: 'name'}, each.models.length > 0 ? marks(each.models, 'models', 'name') : NONE, each.more > 0 && `and ${each.more} more`)));
}
