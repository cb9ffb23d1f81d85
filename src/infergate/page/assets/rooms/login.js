// The door: a token of the admin API for a session of this browser.

import {logIn} from '../ask.js';
import {h} from '../dom.js';
import {field, form} from '../parts.js';

export function login(then) {
    const token = h('input', {type: 'password', name: 'token', required: true, autocomplete: 'current-password', spellcheck: 'false'});
    return h('main', {class: 'door'}, form(null, 'Log in', [
        h('div', {class: 'brand'}, h('img', {src: '/page/assets/icon.svg', alt: ''}), h('h1', {}, 'Infergate')),
        h('input', {hidden: true, autocomplete: 'username', name: 'username', value: 'infergate', 'aria-hidden': 'true'}),
        field('Token', token),
        h('p', {class: 'quiet small'}, 'At the gateway’s machine, ', h('code', {}, 'infergate admin token create me --role full --expires 30d'),
            ' makes one. The role ', h('code', {}, 'read'), ' may look and not change.'),
    ], async () => then(await logIn(token.value.trim()))));
}
