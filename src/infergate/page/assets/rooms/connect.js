// Connect: what to tell a program so that it asks this gateway, with a key of its own, and a look-out
// for its first request.

import {get, post} from '../ask.js';
import {fill, h} from '../dom.js';
import * as live from '../live.js';
import {button, choice, copier, field, note, nothing, panel, same, to, word} from '../parts.js';
import {seconds} from '../words.js';
import {gatewayUrl, offered} from './client_words.js';
import {isBad, modelOf, outcome} from './request_words.js';

const HIDDEN = 'YOUR-KEY';

export async function show({place, query, who, said, isCurrent}) {
    const [clients, models] = await Promise.all([get('/clients'), get('/models', {limit: 1000})]);
    if (!isCurrent()) {
        return null;
    }
    let chosen = clients.items.find((each) => each.name === query.client) ?? clients.items[0];
    let key = '';
    let keyName = '';
    let watching = 0;
    const url = gatewayUrl(clients.url);
    const first = offered(models.items, query.model);
    const model = h('select', {onchange: () => draw()}, models.items.length === 0 ? h('option', {value: 'MODEL'}, 'none is known yet') : models.items.map((each) => h('option', {value: each.name, selected: each.name === first}, each.name)));
    const name = h('input', {value: '', placeholder: 'my-laptop', 'aria-label': 'Name of the new key'});
    const shown = h('div');
    const made = h('div', {role: 'status'});
    const arrived = h('div', {role: 'status'});

    function filled(text) {
        return text.replaceAll('{url}', url).replaceAll('{key}', key || HIDDEN).replaceAll('{model}', model.value);
    }

    function draw() {
        said({client: chosen.name, model: models.items.length > 1 ? model.value : null});
        const text = filled(chosen.text);
        fill(shown, h('p', {}, 'Into ', h('strong', {}, filled(chosen.where)), ':'), h('pre', {}, text), h('div', {class: 'row', style: {margin: '8px 0'}}, copier(text)),
            chosen.note && h('p', {class: 'quiet'}, filled(chosen.note)), same(`infergate connect ${chosen.name} --model ${word(model.value)}`));
    }

    const make = who.role === 'full' && h('div', {class: 'row'}, name, button('Make a key for it', async () => {
        const wanted = name.value.trim() || `${chosen.name}-${Math.random().toString(36).slice(2, 6)}`;
        const answer = await post('/keys', {name: wanted});
        key = answer.key;
        keyName = answer.name;
        fill(made, h('p', {}, 'The key ', h('strong', {}, keyName), ' stands in the settings now. It is shown this once, as long as this page is open.'));
        draw();
        watch();
    }, made, 'main'));

    function watch() {
        watching = Date.now() / 1000;
        fill(arrived, h('p', {}, h('strong', {}, 'Waiting for the first request'), keyName ? ` with the key ${keyName} …` : ' …'));
    }

    const end = live.listen((kind) => {
        if (kind === 'live' && watching) {
            const first = live.now.live.requests.filter((each) => each.ts > watching - 1 && (keyName ? each.key === keyName : true)).at(-1);
            if (first) {
                watching = 0;
                fill(arrived, h('p', {class: 'news'}, h('span', {class: isBad(first) ? 'mark bad' : 'mark good'}, isBad(first) ? 'It came, and failed' : 'It works'), ` ${modelOf(first) || first.uri}: ${outcome(first)} in ${seconds(first.request_time)}, from ${first.ip}. `, to('requests', {id: first.id}, 'Its story')));
            }
        }
    });

    fill(place, h('div', {class: 'two'},
        panel('1. Choose a program', choiceOf(), h('h2', {style: {'margin-top': '16px'}}, '3. Give it these settings'), field('Model', model), shown),
        h('div', {}, panel('2. Make it a key of its own', make || nothing('Your token may look and not change: ask somebody who may make a key.'), made),
            panel('4. See it work', h('p', {class: 'quiet'}, 'Ask something there. Its first request shows up here.'), h('button', {type: 'button', onclick: watch}, 'Look out for it'), arrived))));
    draw();
    if (url !== clients.url) {
        note(`The gateway calls itself ${clients.url}; from here it is ${url}.`);
    }
    return end;

    function choiceOf() {
        const it = choice('Program', clients.items.map((each) => [each.name, each.title]), chosen.name, (value) => {
            chosen = clients.items.find((each) => each.name === value);
            draw();
        });
        it.className = 'row';
        return it;
    }
}
