// main: who is logged in, which room is shown, and the keys that lead there. What a room shows is in
// the address: it can be sent to somebody, and Back works.

import {logOut, unreachable, visitor, whenLoggedOut} from './ask.js';
import {fill, h} from './dom.js';
import * as live from './live.js';
import {box, failed, loading} from './parts.js';
import {ago, zone} from './words.js';

const ROOMS = [
    ['overview', 'Overview', 'o'],
    ['backends', 'Backends', 'b'],
    ['models', 'Models', 'm'],
    ['keys', 'Keys', 'k'],
    ['requests', 'Requests', 'r'],
    ['usage', 'Usage', 'u'],
    ['configuration', 'Configuration', 'c'],
    ['playground', 'Playground', 'p'],
    ['connect', 'Connect', 'n'],
    ['security', 'Security', 's'],
];

let who = null;
let leave = () => {};
let main = null;
let turn = 0;

// Show the room that the address names.
async function show() {
    leave();
    leave = () => {};
    const mine = ++turn;
    const name = location.pathname.split('/')[2] || 'overview';
    const known = ROOMS.find(([room]) => room === name);
    document.title = `${known ? known[1] : 'Not here'} · Infergate`;
    for (const each of document.querySelectorAll('.side li a')) {
        each.toggleAttribute('aria-current', each.dataset.room === name);
        if (each.dataset.room === name) {
            each.setAttribute('aria-current', 'page');
        }
    }
    document.querySelector('.side').classList.remove('open');
    if (!known) {
        fill(main, h('h1', {}, 'There is nothing here'), h('p', {}, h('a', {href: '/page/overview'}, 'To the overview')));
        return;
    }
    const head = h('header', {}, h('h1', {tabindex: '-1'}, known[1]));
    const place = h('div', {class: 'room'}, loading());
    fill(main, head, place);
    try {
        const room = await roomNamed(name);
        const query = Object.fromEntries(new URLSearchParams(location.search));
        const left = await room.show({place, head, query, who, go, isCurrent: () => mine === turn,
            said: (what) => mine === turn && said(what)});
        if (mine === turn) {
            leave = left ?? (() => {});
        } else {
            left?.();
        }
    } catch (problem) {
        if (mine === turn && problem.status !== 401) {
            fill(place, failed(problem), h('button', {type: 'button', onclick: show}, 'Try again'));
            if (problem.status === undefined) {
                throw problem;
            }
        }
    }
}

async function roomNamed(name) {
    try {
        return await import(`/page/assets/rooms/${name}.js`);
    } catch (error) {
        throw error instanceof TypeError ? unreachable() : error; // it could not be fetched
    }
}

// What a room shows is said in the address, without going anywhere.
function said(query) {
    const given = Object.entries(query).filter(([, value]) => value !== null && value !== undefined && value !== '' && value !== false);
    const text = new URLSearchParams(given).toString();
    history.replaceState(null, '', location.pathname + (text ? `?${text}` : ''));
}

function go(path) {
    history.pushState(null, '', path);
    show();
    window.scrollTo(0, 0);
}

document.addEventListener('click', (event) => {
    const link = event.target.closest?.('a[href^="/page/"]');
    if (link && main !== null && event.button === 0 && !event.metaKey && !event.ctrlKey && !event.shiftKey && !link.target && !link.hasAttribute('download')) {
        event.preventDefault();
        link.closest('dialog')?.close();
        go(link.getAttribute('href'));
    }
});
window.addEventListener('popstate', () => main !== null && show());

let afterG = false;
document.addEventListener('keydown', (event) => {
    if (main === null || event.ctrlKey || event.metaKey || event.altKey || document.querySelector('dialog[open]')
        || event.target.closest('input, textarea, select, [contenteditable]')) {
        return;
    }
    if (afterG) {
        afterG = false;
        const room = ROOMS.find(([, , key]) => key === event.key);
        if (room) {
            event.preventDefault();
            go(`/page/${room[0]}`);
        }
    } else if (event.key === 'g') {
        afterG = true;
        setTimeout(() => {
            afterG = false;
        }, 1500);
    } else if (event.key === '/') {
        const search = document.querySelector('input[type="search"]');
        if (search) {
            event.preventDefault();
            search.focus();
        }
    } else if (event.key === '?') {
        help();
    }
});

function help() {
    box('By keyboard',
        h('dl', {}, [['/', 'search in this room'], ['Esc', 'close what is open'], ['?', 'this'],
            ...ROOMS.map(([, title, key]) => [`g ${key}`, title])].map(([key, what]) => [h('dt', {}, h('code', {}, key)), h('dd', {}, what)])),
        h('p', {class: 'quiet'}, `Times are those of ${zone}.`));
}

function frame() {
    const connection = h('p', {class: 'small', role: 'status'});
    const side = h('nav', {class: 'side', 'aria-label': 'Rooms'},
        h('div', {class: 'top'},
            h('a', {class: 'brand', href: '/page/overview'}, h('img', {src: '/page/assets/icon.svg', alt: ''}), 'Infergate'),
            h('button', {class: 'menu', type: 'button', onclick: () => side.classList.toggle('open')}, 'Menu')),
        h('ul', {}, ROOMS.map(([room, title]) => h('li', {}, h('a', {href: `/page/${room}`, 'data-room': room}, title)))),
        h('div', {class: 'who'}, connection,
            h('p', {}, who.name, who.role === 'read' && ', may look and not change'),
            h('p', {}, h('button', {class: 'bare', type: 'button', onclick: help}, 'Keyboard'),
                h('button', {class: 'bare', type: 'button', onclick: async () => {
                    await logOut();
                    door();
                }}, 'Log out'))));
    main = h('main', {id: 'main', tabindex: '-1'});
    document.body.replaceChildren(h('a', {class: 'skip', href: '#main'}, 'To the content'), h('div', {class: 'frame'}, side, main));
    live.listen(() => {
        if (live.now.connected) {
            fill(connection, 'Live');
        } else if (live.now.at) {
            fill(connection, h('span', {class: 'problem'}, 'Not connected: numbers are from '), ago(live.now.at));
        } else {
            fill(connection, 'Connecting …');
        }
        main.classList.toggle('old', !live.now.connected && live.now.at > 0);
    });
    live.open();
}

async function door() {
    leave();
    leave = () => {};
    turn += 1;
    live.close();
    main = null;
    document.querySelectorAll('dialog').forEach((each) => each.close());
    document.title = 'Log in · Infergate';
    const {login} = await import('/page/assets/rooms/login.js');
    document.body.replaceChildren(login((visitor_) => {
        who = visitor_;
        frame();
        show();
    }));
    document.querySelector('input')?.focus();
}

whenLoggedOut(door);
try {
    who = await visitor();
    if (who === null) {
        await door();
    } else {
        frame();
        await show();
    }
} catch (problem) {
    document.body.replaceChildren(h('main', {}, failed(problem), h('button', {type: 'button', onclick: () => location.reload()}, 'Try again')));
}
