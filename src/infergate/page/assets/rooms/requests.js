// Requests: what comes in, live; what came in, by what it was; and the story of one.

import {get} from '../ask.js';
import {fill, h, keep} from '../dom.js';
import * as live from '../live.js';
import {choice, failed, loading, nothing, panel, table} from '../parts.js';
import {brief, clock, exact, NONE, number, seconds} from '../words.js';
import {firstByte, isBad, modelOf, outcome} from './request_words.js';
import {story} from './story.js';

const MOST = 200;

export async function show({place, head, query, said, isCurrent}) {
    const wanted = {key: query.key ?? '', model: query.model ?? '', backend: query.backend ?? '', status: query.status ?? '', failed: query.failed === '1'};
    let paused = false;
    let rows = [];
    let next = null;
    const body = h('tbody');
    const list = h('div', {}, loading());
    const more = h('div');

    const inputs = Object.entries({key: 'Key', model: 'Model', backend: 'Backend', status: 'Status: 429, 5xx'}).map(([name, title]) =>
        h('input', {type: 'search', name, placeholder: title, 'aria-label': title, value: wanted[name], size: 16, pattern: name === 'status' ? '[1-5]([0-9]{2}|xx)' : null}));
    const filters = h('form', {class: 'row panel', role: 'search', onsubmit: (event) => {
        event.preventDefault();
        inputs.forEach((input) => {
            wanted[input.name] = input.value.trim();
        });
        look();
    }}, inputs, choice('Which', [['', 'All'], ['failed', 'Failed only']], wanted.failed ? 'failed' : '', (chosen) => {
        wanted.failed = chosen === 'failed';
        look();
    }), h('button', {}, 'Find'));
    const pause = h('button', {type: 'button', 'aria-pressed': 'false', onclick: () => {
        paused = !paused;
        pause.setAttribute('aria-pressed', String(paused));
        if (!paused) {
            look();
        }
    }}, 'Pause');
    head.append(h('span', {class: 'far'}, pause));
    fill(place, filters, list, more);
    const address = () => ({...wanted, failed: wanted.failed ? 1 : null});

    async function look() {
        said(address());
        try {
            const page = await get('/requests', {...wanted, failed: wanted.failed || null, limit: 50});
            if (!isCurrent()) {
                return;
            }
            rows = page.items;
            next = page.next;
            draw(page.back_to);
        } catch (problem) {
            fill(list, failed(problem));
            body.kept = undefined;
        }
    }

    function draw(backTo = null) {
        if (rows.length === 0) {
            fill(list, panel(null, nothing(Object.values(wanted).some(Boolean)
                ? `Nothing in the log is like that.${backTo ? ` It was looked through back to ${exact(backTo)}.` : ''}`
                : 'Nothing was asked yet. The first request shows up here by itself.')));
            fill(more);
            return;
        }
        if (!body.isConnected) {
            fill(list, panel(null, table('Requests', [['When'], ['Outcome'], ['Model', 'name'], ['Key', 'name'], ['Backend', 'name'], ['First byte', 'n'], ['Time', 'n'], ['Tokens', 'n']], body)));
        }
        keep(body, rows, (each) => each.id, (each) => row(each, open));
        fill(more, next !== null && h('button', {type: 'button', onclick: async () => {
            paused = true;
            pause.setAttribute('aria-pressed', 'true');
            const page = await get('/requests', {...wanted, failed: wanted.failed || null, limit: 50, after: next});
            const known = new Set(rows.map((each) => each.id));
            rows = [...rows, ...page.items.filter((each) => !known.has(each.id))];
            next = page.next;
            draw();
        }}, 'Older ones'));
    }

    function open(id) {
        said({...address(), id});
        story(id, () => isCurrent() && said(address()));
    }

    function fits(entry) {
        return (!wanted.key || entry.key === wanted.key)
            && (!wanted.model || [entry['gen_ai.request.model'], entry.model_asked].includes(wanted.model))
            && (!wanted.backend || entry.backend === wanted.backend)
            && (!wanted.status || String(entry.status).startsWith(wanted.status.replaceAll('x', '')))
            && (!wanted.failed || isBad(entry));
    }

    const end = live.listen((kind) => {
        if (kind === 'live' && !paused) {
            const known = new Set(rows.map((each) => each.id));
            const new_ = live.now.live.requests.filter((each) => fits(each) && !known.has(each.id));
            if (new_.length > 0) {
                rows = [...new_, ...rows].slice(0, MOST);
                draw();
            }
        }
    });
    await look();
    if (query.id) {
        open(query.id);
    }
    return end;
}

function row(each, open) {
    const model = modelOf(each);
    const asked = each.model_asked && each.model_asked !== each['gen_ai.request.model'] && each['gen_ai.request.model'] ? each.model_asked : '';
    const tokens = each['gen_ai.usage.input_tokens'];
    return h('tr', {class: 'leads news', onclick: (event) => event.target.closest('button, a') || open(each.id)},
        h('td', {class: 'time'}, h('button', {type: 'button', class: 'bare', title: exact(each.ts), onclick: () => open(each.id)}, clock(each.ts))),
        h('td', {}, h('span', {class: isBad(each) ? 'mark bad' : 'mark good'}, outcome(each))),
        h('td', {class: 'name', title: model}, brief(model) || h('span', {class: 'quiet'}, brief(each.uri)), asked && h('div', {class: 'quiet small', title: asked}, `asked for as ${brief(asked)}`)),
        h('td', {class: 'name'}, each.key || NONE),
        h('td', {class: 'name'}, each.attempts.length > 1 ? each.attempts.map((one) => one.backend).join(' → ') : each.backend || NONE),
        h('td', {class: 'n'}, seconds(firstByte(each))),
        h('td', {class: 'n'}, seconds(each.request_time)),
        h('td', {class: 'n'}, tokens === null ? NONE : `${number(tokens)} + ${number(each['gen_ai.usage.output_tokens'])}`));
}

