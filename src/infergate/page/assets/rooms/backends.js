// Backends: what each is doing, why one is out, and what can be done about it.

import {named, post, send} from '../ask.js';
import {fill, h, keep} from '../dom.js';
import * as live from '../live.js';
import {box, button, confirm, drawer, field, form, loading, marks, meter, note, nothing, panel, same, table, to, word} from '../parts.js';
import {ago, NONE, number, percent, seconds} from '../words.js';
import {inUse, stateOf} from './backend_words.js';

export async function show({place, head, query, who, said}) {
    const mayChange = who.role === 'full';
    const search = h('input', {type: 'search', placeholder: 'Search', 'aria-label': 'Search backends', value: query.q ?? '', oninput: () => {
        said({q: search.value});
        draw();
    }});
    head.append(h('span', {class: 'far'}, search, mayChange && h('button', {type: 'button', onclick: add}, 'Add a backend')));
    const body = h('tbody');
    const list = h('div', {}, loading());
    const extra = h('div');
    fill(place, list, extra);
    let opened = query.name ?? null;
    let isDrawn = false;

    function draw() {
        const {status, live: found} = live.now;
        if (status === null) {
            return;
        }
        if (status.backends.length === 0) {
            fill(list, panel(null, nothing('There are no backends. Add one, or say in the configuration where they are.')));
            return;
        }
        if (!isDrawn) {
            isDrawn = true;
            fill(list, panel(null, table('Backends', [['Backend', 'name'], ['State'], ['In flight', 'n'], ['Queue there', 'n'], ['KV cache'], ['Answers in', 'n'], ['Weight', 'n'], ['Models', 'name'], ['']], body)));
        }
        const wanted = search.value.toLowerCase();
        const rows = status.backends.filter((each) => `${each.name} ${each.url} ${each.models.join(' ')}`.toLowerCase().includes(wanted));
        keep(body, rows.map((each) => shown(each, found)), (each) => each.name, (each) => row(each, mayChange, open));
        fill(extra, rows.length === 0 && nothing(`No backend has “${search.value}” in its name, address or models.`),
            status.removed_backends.length > 0 && panel('Taken out by hand', h('ul', {class: 'plain'}, status.removed_backends.map((each) => h('li', {}, each.backend,
                ' ', mayChange && button('Bring back', async () => {
                    await post(`/backends/${named(each.backend)}/reset`);
                    note(`${each.backend} is again as the configuration says.`);
                }))))));
        if (opened !== null) {
            const one = status.backends.find((each) => each.name === opened);
            const name = opened;
            opened = null;
            if (one) {
                open(one.name);
            } else {
                note(`There is no backend ${name}.`);
            }
        }
    }

    function open(name) {
        const one = live.now.status.backends.find((each) => each.name === name);
        said({q: search.value, name});
        drawer(name, () => said({q: search.value}), details(one, mayChange));
    }

    const end = live.listen(draw);
    draw();
    return end;
}

function shown(each, found) {
    const {name, url, state, reason, since, max_in_flight, waiting, running, kv_cache_use, latency_ms, weight, models, drained, kind, version, loaded} = each;
    return {name, url, state, reason, since, in_flight: found?.in_flight[name] ?? each.in_flight, max_in_flight, waiting, running, kv_cache_use, latency_ms, weight, models: models.slice(0, 4), more: models.length - 4, drained, kind, version, loaded: inMemory(each)};
}

function row(each, mayChange, open) {
    return h('tr', {},
        h('th', {scope: 'row', class: 'name wide'},
            h('button', {type: 'button', class: 'bare name', onclick: () => open(each.name)}, each.name),
            h('div', {class: 'quiet small'}, each.kind ? `${each.kind} ${each.version ?? ''}` : 'not known yet'), h('div', {class: 'quiet small'}, each.url)),
        h('td', {}, stateOf(each.state), h('div', {class: 'quiet small'}, each.state !== 'up' && each.reason ? `${each.reason}, ` : '', 'since ', ago(each.since))),
        h('td', {class: 'n'}, inUse(each)),
        h('td', {class: each.waiting ? 'n bad' : 'n'}, each.waiting ?? NONE),
        h('td', {class: 'short'}, each.kv_cache_use === null ? NONE : [meter(each.kv_cache_use), percent(each.kv_cache_use)]),
        h('td', {class: 'n'}, each.latency_ms === null ? NONE : seconds(each.latency_ms / 1000)),
        h('td', {class: 'n'}, each.weight ?? NONE),
        h('td', {class: 'name'}, marks(each.models, 'models', 'name'), each.more > 0 && `and ${each.more} more`, each.models.length === 0 && h('span', {class: 'quiet'}, 'none told'),
            each.loaded !== null && h('div', {class: 'quiet small'}, `in memory: ${each.loaded}`)),
        h('td', {}, mayChange && (each.drained ? undrain(each.name) : drain(each.name))));
}

// Of an engine that loads models when they are asked for; null where all of them are there always.
function inMemory({loaded, models}) {
    if (!loaded || loaded.length === models.length) {
        return null;
    }
    return loaded.slice(0, 4).join(', ') + (loaded.length > 4 ? ` and ${loaded.length - 4} more` : '') || 'none';
}

function drain(name) {
    return h('button', {type: 'button', onclick: () => confirm(`Drain ${name}?`, [
        h('p', {}, 'It gets no new requests. Those that it has go on. It stays so until it is undone, also over a restart.'),
        same(`infergate backend drain ${word(name)}`)], 'Drain it', async () => {
        await post(`/backends/${named(name)}/drain`);
        note(`${name} gets no new requests.`);
    })}, 'Drain');
}

function undrain(name) {
    return button('Take back', async () => {
        await post(`/backends/${named(name)}/undrain`);
        note(`${name} gets requests again.`);
    });
}

function details(each, mayChange) {
    const facts = [
        ['State', [stateOf(each.state), ' since ', ago(each.since)]], ['Why', each.reason || NONE],
        ['Address', each.url], ['Engine', each.kind ? `${each.kind} ${each.version ?? ''}` : 'not known yet'],
        ['In flight', inUse(each)], ['Running there', each.running ?? NONE], ['Waiting there', each.waiting ?? NONE],
        ['KV cache', each.kv_cache_use === null ? NONE : percent(each.kv_cache_use)],
        ['Others’ load', number(each.load)],
        ['Tokens', each.generation_tokens === null ? NONE : `${number(each.prompt_tokens)} in, ${number(each.generation_tokens)} out since it started`],
        ['Weight', each.weight ?? NONE],
        ['Models', each.models.length === 0 ? (each.models_problem || 'none told') : marks(each.models, 'models', 'name')],
        each.loaded && ['In memory', each.loaded.length === 0 ? 'none' : marks(each.loaded, 'models', 'name')],
        ['Requests', to('requests', {backend: each.name}, 'that went there')],
    ].filter(Boolean);
    const weight = h('input', {type: 'number', min: 1, max: 1000, value: each.weight ?? 1, required: true});
    return h('div', {},
        h('dl', {}, facts.map(([name, what]) => [h('dt', {}, name), h('dd', {}, what)])),
        mayChange && form('Share of the requests', 'Set', [field('Weight, relative to the others', weight),
            h('p', {class: 'quiet small'}, 'Until the configuration says something new. ', h('code', {}, `infergate backend weight ${word(each.name)} N`))],
        async () => {
            const done = await send('PUT', `/backends/${named(each.name)}/weight`, {weight: Number(weight.value)});
            note(`The weight of ${done.backend} was ${done.before} and is ${done.weight}.`);
        }),
        mayChange && h('div', {class: 'row'}, each.drained ? undrain(each.name) : drain(each.name),
            h('button', {type: 'button', onclick: () => confirm(`Undo what was changed of ${each.name} by hand?`, same(`infergate backend reset ${word(each.name)}`), 'Undo', async () => {
                const done = await post(`/backends/${named(each.name)}/reset`);
                note(done.undone.length ? `Undone: ${done.undone.join(', ')}.` : 'Nothing was changed.');
            }, false)}, 'As configured'),
            h('button', {type: 'button', class: 'danger', onclick: () => confirm(`Take ${each.name} out?`, [
                h('p', {}, 'It gets no new requests; what it is answering goes on. One of the configuration comes back with “Bring back”; one that was added by hand is gone.'),
                same(`infergate backend remove ${word(each.name)}`)], 'Take it out', async () => {
                const done = await send('DELETE', `/backends/${named(each.name)}`);
                note(`${done.backend} is out; ${done.in_flight} requests go on there.`);
            })}, 'Take out')));
}

function add() {
    const name = h('input', {required: true, pattern: '[A-Za-z0-9][A-Za-z0-9_.\\-]{0,62}', placeholder: 'gpu3'});
    const url = h('input', {type: 'url', required: true, placeholder: 'http://10.0.0.7:8000'});
    const most = h('input', {type: 'number', min: 1, max: 100000, placeholder: 'as the engine says'});
    const it = box('Add a backend', form(null, 'Add it', [
        field('Name', name), field('Base URL', url), field('Requests at once, at most', most),
        h('p', {class: 'quiet small'}, 'It is asked what it runs and which models it has, and serves those that this gateway serves. ', h('code', {}, 'infergate backend add NAME URL')),
    ], async () => {
        const done = await post(`/backends/${named(name.value)}`, {url: url.value, ...(most.value ? {max_in_flight: Number(most.value)} : {})});
        it.close();
        note(`${done.backend} is there.`);
    }, {class: 'inner'}));
}
