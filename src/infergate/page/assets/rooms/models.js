// Models: the names that clients ask for, where each leads, and who uses it.

import {every, get} from '../ask.js';
import {fill, h, keep} from '../dom.js';
import * as live from '../live.js';
import {drawer, failed, loading, marks, nothing, panel, table, to} from '../parts.js';
import {count, money, NONE, number, seconds} from '../words.js';

export async function show({place, head, query, said}) {
    const body = h('tbody');
    const none = h('div');
    let models = []; // somebody may search before they are here
    const search = h('input', {type: 'search', placeholder: 'Search', 'aria-label': 'Search models', value: query.q ?? '', oninput: () => {
        said({q: search.value});
        draw();
    }});
    head.append(h('span', {class: 'far'}, search));
    models = await every('/models', 2000);
    if (models.length === 0) {
        fill(place, panel(null, nothing('No backend has told its models yet, and the configuration names none. ', to('backends', {}, 'How are the backends?'))));
        return null;
    }
    fill(place, panel(null, table('Models', [['Model', 'name'], ['Backends'], ['Also called'], ['Falls back to'], ['Chosen by'], ['Requests/s', 'n'], ['Last hour', 'n'], ['']], body), none));

    function draw() {
        const wanted = search.value.toLowerCase();
        const now = new Map((live.now.live?.models ?? []).map((each) => [each.model, each]));
        const states = new Map((live.now.status?.backends ?? []).map((each) => [each.name, each.state]));
        const found = models.filter((each) => [each.name, ...each.aliases, ...each.backends].join(' ').toLowerCase().includes(wanted));
        const rows = found.slice(0, 300).map((each) => ({...each, now: now.get(each.name) ?? null, out: each.backends.filter((name) => ['down', 'hung', 'draining'].includes(states.get(name)))}));
        keep(body, rows, (each) => each.name, row);
        fill(none, found.length === 0 && nothing(`No model is called like “${search.value}”.`), found.length > 300 && nothing(`And ${found.length - 300} more: search for them.`));
    }

    function row(each) {
        return h('tr', {},
            h('th', {scope: 'row', class: 'name wide'}, h('button', {type: 'button', class: 'bare name', onclick: () => open(each.name)}, each.name),
                !each.declared && h('div', {class: 'quiet small'}, 'as its backends have it')),
            h('td', {}, marks(each.backends.slice(0, 6), 'backends', 'name'), each.backends.length > 6 && `and ${each.backends.length - 6} more`,
                each.out.length > 0 && h('div', {class: 'problem small'}, each.out.length === each.backends.length ? 'all of them are out' : `${count(each.out.length, 'is', 'are')} out`)),
            h('td', {}, each.aliases.length ? marks(each.aliases) : NONE),
            h('td', {}, each.fallback.length ? each.fallback.join(' → ') : NONE),
            h('td', {}, each.balance),
            h('td', {class: 'n'}, each.now ? number(each.now.requests_per_s) : NONE),
            h('td', {class: 'n'}, each.now ? to('requests', {model: each.name}, number(each.now.requests)) : NONE),
            h('td', {class: 'short'}, to('playground', {model: each.name}, 'Try it')));
    }

    function open(name) {
        const one = models.find((each) => each.name === name);
        if (!one) {
            return;
        }
        said({q: search.value, name});
        const users = h('div', {}, loading());
        drawer(name, () => said({q: search.value}),
            h('dl', {}, [['Backends', marks(one.backends, 'backends', 'name')], ['Also called', one.aliases.length ? marks(one.aliases) : NONE],
                ['Falls back to', one.fallback.join(' → ') || NONE], ['Chosen by', one.balance],
                ...Object.entries(one.settings).map(([what, value]) => [what, h('code', {}, typeof value === 'object' ? JSON.stringify(value) : String(value))])]
                .map(([what, value]) => [h('dt', {}, what), h('dd', {}, value)])),
            h('p', {}, to('requests', {model: name}, 'Its requests'), ' · ', to('usage', {by: 'day', model: name}, 'Its usage'), ' · ', to('playground', {model: name}, 'Try it')),
            h('h2', {}, 'Who used it in the last 30 days'), users);
        get('/usage', {by: 'key', model: name, limit: 50}).then((used) => fill(users, used.items.length === 0 ? nothing('Nobody.')
            : table('Who used it', [['Key', 'name'], ['Requests', 'n'], ['Tokens', 'n'], ['Seconds each', 'n'], ['Cost', 'n']],
                h('tbody', {}, used.items.map((each) => h('tr', {}, h('th', {scope: 'row', class: 'name'}, each.key ? to('keys', {name: each.key}, each.key) : 'no key'),
                    h('td', {class: 'n'}, number(each.requests)), h('td', {class: 'n'}, number(each.prompt_tokens + each.completion_tokens)),
                    h('td', {class: 'n'}, seconds(each.duration_ms / 1000 / each.requests)), h('td', {class: 'n'}, money(each.cost, used.currency))))))), (problem) => fill(users, failed(problem)));
    }

    const end = live.listen(draw);
    draw();
    if (query.name) {
        open(query.name);
    }
    return end;
}
