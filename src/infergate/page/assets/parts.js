// parts: what rooms are built of.

import {fill, h, put} from './dom.js';
import {clock, day, NONE, number, short} from './words.js';

export function panel(title, ...children) {
    return h('section', {class: 'panel'}, title && h('h2', {}, title), ...children);
}

// Columns: [title, class]. The body is to be filled with rows.
export function table(caption, columns, body = h('tbody')) {
    const head = h('tr', {}, columns.map(([title, kind]) => h('th', {scope: 'col', class: kind}, title)));
    return h('div', {class: 'scroll', tabindex: '0', role: 'region', 'aria-label': caption},
        h('table', {}, h('caption', {class: 'unseen'}, caption), h('thead', {}, head), body));
}

// A link within the page. Everything that leads on is one, so that it can be opened beside.
export function to(room, query, ...children) {
    const given = Object.entries(query ?? {}).filter(([, value]) => value !== null && value !== undefined && value !== '');
    const text = new URLSearchParams(given).toString();
    return h('a', {href: `/page/${room}${text ? `?${text}` : ''}`}, ...children);
}

// A list that is broken between its words alone.
export function whole(texts) {
    const found = texts.filter(Boolean);
    return found.length === 0 ? NONE : found.flatMap((each, at) => [at > 0 && ', ', h('span', {class: 'one'}, each)]);
}

// Buttons of which one is pressed; told of a change by its value.
export function choice(label, options, chosen, then) {
    const group = h('span', {class: 'group', role: 'group', 'aria-label': label});
    for (const [value, title] of options) {
        const button = h('button', {type: 'button', 'aria-pressed': String(value === chosen), onclick: () => {
            [...group.children].forEach((each) => each.setAttribute('aria-pressed', String(each === button)));
            then(value);
        }}, title);
        group.append(button);
    }
    return group;
}

export function field(label, input) {
    return h('label', {class: 'field'}, h('span', {}, label), input);
}

export function failed(problem) {
    return h('div', {class: 'banner trouble', role: 'alert'},
        h('p', {}, h('strong', {}, problem.message), problem.where && ` (${problem.where})`),
        problem.hint && h('p', {}, problem.hint));
}

export const loading = (what = 'Loading') => h('p', {class: 'none', role: 'status'}, `${what} …`);
export const nothing = (...children) => h('p', {class: 'none'}, ...children);

// The command that does the same.
export function same(command) {
    return h('p', {class: 'same'}, 'The same by command: ', h('code', {}, command));
}

// A word of a shell, quoted where it has to be.
export function word(text) {
    return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${String(text).replaceAll("'", "'\\''")}'`;
}

export function copier(text, title = 'Copy') {
    const button = h('button', {type: 'button', onclick: async () => {
        const said = typeof text === 'function' ? text() : text;
        try {
            await navigator.clipboard.writeText(said);
            button.textContent = 'Copied';
        } catch {
            // not over plain HTTP from elsewhere: shown, to be taken by hand
            box('Copy this', h('textarea', {rows: 10, readonly: true, 'aria-label': 'Text to copy', class: 'code', style: {width: '100%'}}, said));
        }
        setTimeout(() => {
            button.textContent = title;
        }, 2000);
    }}, title);
    return button;
}

const notes = h('div', {class: 'notes', role: 'status', 'aria-live': 'polite'});

export function note(text) {
    if (!notes.isConnected) {
        document.body.append(notes);
    }
    const one = h('div', {}, text);
    notes.append(one);
    setTimeout(() => one.remove(), 6000);
}

function dialog(kind, title, children, closed) {
    const close = h('button', {type: 'button', 'aria-label': 'Close', onclick: () => it.close()}, '✕');
    const heading = h('h1', {id: 'dialog-title', tabindex: '-1'}, title);
    const inside = h('div', {class: 'inside'});
    const it = h('dialog', {class: kind, 'aria-labelledby': 'dialog-title', onclose: () => {
        it.remove();
        closed?.();
    }, onclick: (event) => event.target === it && it.close()}, put(inside, h('header', {}, heading, close), ...children));
    document.body.append(it);
    it.showModal();
    heading.focus();
    return it;
}

export const drawer = (title, closed, ...children) => dialog('drawer', title, children, closed);
export const box = (title, ...children) => dialog('box', title, children);

// Ask before what cannot be undone, or is felt by others. act: what is done; its problem is shown.
export function confirm(title, said, label, act, danger = true) {
    const place = h('div');
    const press = button(label, async () => {
        await act();
        it.close();
    }, place, danger ? 'danger' : 'main');
    const it = box(title, h('div', {}, said), place, h('div', {class: 'row'}, press, h('button', {type: 'button', onclick: () => it.close()}, 'Cancel')));
    return it;
}

// A button whose work may fail: it waits meanwhile, and what went wrong is said in `place`.
export function button(label, act, place, kind = '') {
    const it = h('button', {type: 'button', class: kind, onclick: async () => {
        it.disabled = true;
        place?.replaceChildren();
        try {
            await act();
        } catch (problem) {
            if (problem.status === undefined) {
                throw problem;
            }
            if (place) {
                fill(place, failed(problem));
            } else {
                note(problem.message);
            }
        } finally {
            it.disabled = false;
        }
    }}, label);
    return it;
}

// A form whose button does the work; its problem is said at its end.
export function form(title, label, fields, act, more = {}) {
    const place = h('div');
    const press = h('button', {class: 'main'}, label);
    return h('form', {class: more.class ?? 'panel', autocomplete: 'off', onsubmit: async (event) => {
        event.preventDefault();
        press.disabled = true;
        place.replaceChildren();
        try {
            await act(event.target);
        } catch (problem) {
            if (problem.status === undefined) {
                throw problem;
            }
            fill(place, failed(problem));
        } finally {
            press.disabled = false;
        }
    }}, title && h('h2', {}, title), fields, place, h('div', {class: 'row'}, press, more.beside));
}

// Bars over time. points: [{at, value, bad?, said}] in equal steps from `from`, `step_s` apart.
export function bars(title, points, from, step_s, steps, {now = '', empty = 'nothing yet', as = number} = {}) {
    const width = 600;
    const height = 72;
    const most = Math.max(...points.map((each) => each.value), 0);
    const wide = width / steps;
    const said = most === 0 ? empty : `at most ${as(most)}`;
    const picture = h('svg', {viewBox: `0 0 ${width} ${height}`, preserveAspectRatio: 'none', role: 'img', 'aria-label': `${title}: ${said}`},
        h('line', {class: 'rule', x1: 0, x2: width, y1: height - 0.5, y2: height - 0.5}));
    for (const each of points) {
        const place = Math.floor((each.at - from) / step_s);
        if (most === 0 || place < 0 || place >= steps) {
            continue;
        }
        const tall = Math.max(each.value > 0 ? 2 : 0, each.value / most * (height - 4));
        const bad = (each.bad ?? 0) / (each.value || 1) * tall;
        const x = place * wide + wide * 0.1;
        put(picture, h('g', {}, h('title', {}, each.said),
            h('rect', {class: 'bar', x, width: wide * 0.8, y: height - tall, height: tall}),
            bad > 0 && h('rect', {class: 'bad', x, width: wide * 0.8, y: height - bad, height: bad})));
    }
    const named = (at) => step_s >= 86400 ? day(at) : step_s >= 60 ? short(at) : clock(at);
    return h('figure', {class: 'picture'},
        h('figcaption', {}, h('span', {}, title), h('strong', {}, now || said)),
        picture,
        h('div', {class: 'axis'}, h('span', {}, named(from)), h('span', {}, now ? said : ''), h('span', {}, named(from + step_s * (step_s >= 86400 ? steps - 1 : steps)))));
}

export function meter(part, title) {
    const value = Math.max(0, Math.min(1, part));
    return h('span', {class: value > 0.9 ? 'meter full' : 'meter', role: 'img', 'aria-label': title ?? `${Math.round(value * 100)} %`, title},
        h('span', {style: {width: `${value * 100}%`}}));
}

export const marks = (names, room, as) => names.map((name) => [room ? to(room, {[as]: name}, h('span', {class: 'mark', title: name}, name)) : h('span', {class: 'mark', title: name}, name), ' ']);
