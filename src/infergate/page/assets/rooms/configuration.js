// Configuration: the file with what is wrong in its place, what it would change, bringing it into
// force under watch, and back.

import {get, post, send} from '../ask.js';
import {fill, h} from '../dom.js';
import * as live from '../live.js';
import {box, button, confirm, failed, loading, note, nothing, panel, same, table} from '../parts.js';
import {Editor} from '../editor.js';
import {ago, count, NONE, number} from '../words.js';

const CHECK_AFTER_MS = 400;
const WINDOWS = [['10', '10 s'], ['60', '1 min'], ['300', '5 min'], ['0', 'not at all']];

export async function show({place, head, who, isCurrent}) {
    const mayChange = who.role === 'full';
    const file = h('div', {}, loading());
    const plan = h('div', {}, loading());
    const applied = h('div', {role: 'status'});
    const history = h('div', {}, loading());
    const window_ = h('select', {'aria-label': 'Watch it for'}, WINDOWS.map(([value, title]) => h('option', {value}, title)));
    let ticking = null;
    const apply = button('Apply', () => bringIntoForce(), applied, 'main');
    fill(place, h('div', {class: 'two'}, panel('The file', file),
        h('div', {}, panel('What applying it would change', plan, mayChange && h('div', {class: 'row', style: {'margin-top': '8px'}}, apply, h('span', {class: 'quiet'}, 'and watch it for'), window_), applied, same('infergate plan; infergate apply')))),
    panel('What was active', history));
    head.append(h('span', {class: 'far'}, button('Look again', () => Promise.all([lookAtPlan(), lookAtHistory()]))));

    async function lookAtPlan() {
        try {
            const [found, {lines}] = await Promise.all([get('/plan'), get('/diff')]);
            if (isCurrent()) {
                drawPlan(plan, found, lines);
                apply.disabled = found.kind === 'nothing';
            }
        } catch (problem) {
            fill(plan, failed(problem));
        }
    }

    async function lookAtHistory() {
        try {
            const found = await get('/history', {limit: 20});
            if (isCurrent()) {
                drawHistory(history, found.items, mayChange, async (revision) => {
                    await watched(() => post('/rollback', {to: revision}), 10, `Revision ${revision} comes back`);
                });
            }
        } catch (problem) {
            fill(history, failed(problem));
        }
    }

    async function bringIntoForce() {
        const seconds_ = Number(window_.value);
        await watched(() => post('/apply', {window_s: seconds_}), seconds_, 'It is tested, tried next to what runs, and taken over');
    }

    // What is done takes its time: what happens meanwhile is told, by the clock and by requests.
    async function watched(act, seconds_, what) {
        const began = Date.now();
        const bar = h('progress', {max: Math.max(1, seconds_), value: 0, 'aria-label': 'Watch'});
        const told = h('p');
        fill(applied, h('div', {class: 'banner'}, h('p', {}, h('strong', {}, `${what} …`)), seconds_ > 0 && bar, told));
        const tick = () => {
            const gone = (Date.now() - began) / 1000;
            bar.value = Math.min(seconds_, gone);
            const now = live.now.live?.minutes.at(-1);
            fill(told, `${Math.floor(gone)} s. `, now ? `This minute: ${count(now.requests, 'request')}, ${count(now.errors, 'failure')}. ` : '', seconds_ > 0 && 'If it breaks something, what was before comes back by itself.');
        };
        tick();
        ticking = setInterval(tick, 500);
        try {
            const done = await act();
            fill(applied, h('div', {class: 'banner'}, h('p', {}, h('strong', {}, `Revision ${done.revision} is active.`), ` ${count(done.keys, 'valid key')}.`),
                h('p', {}, `In the minute before: ${count(done.before.total, 'request')}, ${done.before.errors} failed. Since: ${count(done.after.total, 'request')}, ${done.after.errors} failed.`),
                done.warnings.map((each) => h('p', {class: 'problem'}, each)),
                done.drain.streams > 0 && h('p', {}, `${count(done.drain.streams, 'stream')} of before go on.`)));
        } finally {
            clearInterval(ticking);
            await Promise.all([lookAtPlan(), lookAtHistory()]);
        }
    }

    const looks = [lookAtPlan(), lookAtHistory()];
    if (mayChange) {
        await drawFile(file, isCurrent, lookAtPlan);
    } else {
        fill(file, nothing('There may be secrets in it: it is shown to tokens of the role full.'));
    }
    await Promise.all(looks);
    return () => clearInterval(ticking);
}

async function drawFile(place, isCurrent, written) {
    const [read, schema] = await Promise.all([post('/configuration:read'), get('/configuration:schema')]);
    if (!isCurrent()) {
        return;
    }
    let base = read;
    let timer = null;
    let asked = 0;
    const problems = h('ul', {class: 'plain problems', 'aria-live': 'polite'});
    const wrong = h('div');
    const state = h('span', {class: 'quiet'});
    const editor = new Editor({text: read.text, schema, readonly: !read.editable, changed: () => {
        clearTimeout(timer);
        timer = setTimeout(check, CHECK_AFTER_MS);
        told();
    }});
    const save = button('Write the file', async () => {
        base = await send('PUT', '/configuration', {text: editor.text, sha256: base.sha256});
        note('The file is written. It counts when it is applied.');
        told();
        await written();
    }, wrong);
    const undo = h('button', {type: 'button', onclick: () => {
        editor.text = base.text;
        check();
        told();
    }}, 'As it was');

    function told() {
        const isNew = editor.text !== base.text;
        save.disabled = !isNew || !read.editable || editor.problems.some((each) => !each.isWarning);
        undo.disabled = !isNew;
        state.textContent = isNew ? 'not written yet' : 'as it is on the disk';
    }

    async function check() {
        const mine = ++asked;
        const found = await post('/configuration:check', {text: editor.text});
        if (mine !== asked) {
            return;
        }
        const all = [...found.problems, ...found.warnings.map((each) => ({...each, isWarning: true}))];
        editor.mark(all);
        fill(problems, all.map((each) => h('li', {}, h('button', {type: 'button', class: 'bare', onclick: () => editor.goTo(each.line, each.column)}, `Line ${each.line}`), ' ', each.isWarning && 'warning: ', h('span', {class: each.isWarning ? '' : 'problem'}, each.message))));
        told();
    }

    fill(place, h('p', {class: 'quiet small'}, h('code', {}, base.file), ', ', state, !read.editable && '. It is not written from here (admin: edit).'), editor.shown,
        h('p', {class: 'quiet small', id: 'editor-keys'}, 'Ctrl Space shows what may stand at the cursor.'),
        problems, wrong, read.editable && h('div', {class: 'row'}, save, undo));
    told();
    await check();
}

function drawPlan(place, found, lines) {
    const what = {nothing: 'Nothing: the file is what is active.', state: 'No reload: only what is in memory changes.', reload: 'nginx is reloaded; no request is cut.'}[found.kind];
    const flying = Object.values(found.open_requests).reduce((sum, each) => sum + each, 0);
    fill(place, h('p', {}, what, found.kind === 'reload' && flying > 0 && ` ${count(flying, 'request goes', 'requests go')} on meanwhile.`),
        found.settings.length > 0 && table('Settings that change', [['Setting', 'name'], ['Now', 'name'], ['Then', 'name']], h('tbody', {}, found.settings.slice(0, 200).map((each) => h('tr', {}, h('th', {scope: 'row', class: 'name'}, each.path), h('td', {class: 'name'}, each.before ?? NONE), h('td', {class: 'name'}, each.after ?? NONE))))),
        lines.length > 0 && h('details', {}, h('summary', {}, `The difference, ${number(lines.length)} lines`), diff(lines)),
        found.files.length > 0 && h('p', {class: 'quiet small'}, `Files of nginx: ${found.files.join(', ')}`));
}

const diff = (lines) => h('pre', {class: 'diff'}, lines.map((line) => h('span', {class: line.startsWith('+') ? 'plus' : line.startsWith('-') ? 'minus' : null}, line, '\n')));

function drawHistory(place, items, mayChange, back) {
    fill(place, items.length === 0 ? nothing('Nothing yet.') : table('What was active', [['Revision'], ['When'], ['Who', 'name'], ['What', 'name'], ['']], h('tbody', {}, items.map((each) => h('tr', {},
        h('td', {}, each.revision), h('td', {class: 'short'}, ago(each.at)), h('td', {class: 'name'}, each.who),
        h('td', {class: 'name'}, each.in_force && h('span', {class: 'mark good'}, 'active'), each.failed ? h('span', {class: 'problem'}, ` rolled back: ${each.failed}`) : each.of ? ` brought back revision ${each.of}` : '', !each.here && ` at ${each.node}`),
        h('td', {}, each.kept && each.here && !each.in_force && h('span', {class: 'row'}, button('Compare', async () => {
            const {lines} = await get('/diff', {before: each.revision});
            box(`Revision ${each.revision} and the file`, lines.length === 0 ? nothing('They are the same.') : diff(lines));
        }), mayChange && h('button', {type: 'button', onclick: () => confirm(`Bring revision ${each.revision} back?`, [h('p', {}, 'It is tested, tried and watched like any change. The file stays as it is.'), same(`infergate rollback --to ${each.revision}`)], 'Bring it back', () => {
            back(each.revision).catch((problem) => note(problem.message));
        }, false)}, 'Back to it'))))))));
}
