// Security: what an attacker would look at first, who is banned, what the firewall found, which
// certificates there are, and who changed what.

import {every, get, named, post, send} from '../ask.js';
import {fill, h} from '../dom.js';
import {box, button, confirm, copier, failed, field, form, loading, note, nothing, panel, same, table, to, word} from '../parts.js';
import {ago, exact, NONE, number} from '../words.js';

export async function show({place, who, isCurrent}) {
    const mayChange = who.role === 'full';
    const audit = h('div', {}, loading());
    const hardening = h('div', {}, h('p', {}, 'What an attacker would look at first. It takes some seconds.'));
    const bans = h('div', {}, loading());
    const firewall = h('div', {}, loading());
    const certificates = h('div', {}, loading());
    const tokens = h('div', {}, loading());
    const check = button('Look now', async () => {
        fill(hardening, loading('It is looked at'));
        try {
            drawHardening(hardening, await get('/hardening', {offline: true}));
        } catch (problem) {
            fill(hardening, failed(problem));
        }
    }, hardening);
    fill(place,
        panel('How hard it is to break into', hardening, check, same('infergate audit')),
        h('div', {class: 'two even'}, panel('Banned', bans), panel('Firewall', firewall)),
        h('div', {class: 'two even'}, panel('Certificates', certificates), panel('Tokens of this page and the admin API', tokens)),
        panel('Who changed what', audit));

    const part = async (where, ask, draw) => {
        try {
            const found = await ask();
            if (isCurrent()) {
                draw(where, found);
            }
        } catch (problem) {
            fill(where, failed(problem));
        }
    };
    const lookAtBans = () => part(bans, () => get('/bans'), (where, found) => drawBans(where, found, mayChange, lookAtBans));
    const lookAtTokens = () => part(tokens, () => every('/tokens', 1000), (where, found) => drawTokens(where, found, mayChange, who, lookAtTokens));
    await Promise.all([
        lookAtBans(),
        part(firewall, () => get('/firewall', {limit: 20}), drawFirewall),
        part(certificates, async () => (await get('/status')).certificates.length > 0 ? get('/certificates') : {items: []}, (where, found) => drawCertificates(where, found, mayChange)),
        lookAtTokens(),
        part(audit, () => get('/audit', {limit: 50}), drawAudit),
    ]);
    return null;
}

function drawHardening(place, {score, checks}) {
    const bad = checks.filter((each) => each.outcome !== 'good');
    fill(place, h('p', {}, h('strong', {}, `${score} of 100. `), bad.length === 0 ? 'Nothing was found.' : `${bad.length} of ${checks.length} checks found something.`),
        h('ul', {class: 'plain'}, bad.map((each) => h('li', {}, h('span', {class: each.outcome === 'bad' && each.severity === 'high' ? 'mark bad' : 'mark'}, each.outcome === 'unknown' ? 'unknown' : each.severity), ' ', each.what, h('div', {class: 'quiet small'}, each.mend)))));
}

function drawBans(place, {mode, items}, mayChange, again) {
    const add = () => {
        const network = h('input', {required: true, placeholder: '203.0.113.7 or 203.0.113.0/24'});
        const hours = h('input', {type: 'number', min: 1, value: 24});
        const it = box('Ban an address', form(null, 'Ban it', [field('Address or network', network), field('Hours', hours), same('infergate bans add NETWORK')], async () => {
            await post('/bans', {network: network.value, duration_s: Number(hours.value) * 3600});
            it.close();
            again();
        }, {class: 'inner'}));
    };
    fill(place, h('p', {class: 'quiet small'}, {off: 'Nobody is looked for (bans: off).', detect: 'Offenders are looked for and told, not refused (bans: detect).', block: 'Offenders are refused (bans: block).'}[mode]),
        items.length === 0 ? nothing('Nobody is banned.') : table('Banned', [['Network', 'name'], ['Why'], ['Until'], ['']], h('tbody', {}, items.slice(0, 100).map((each) => h('tr', {},
            h('th', {scope: 'row', class: 'name'}, each.network), h('td', {}, each.reason, each.times > 1 && ` (${each.times} times)`), h('td', {class: 'short'}, each.until === null ? 'for ever' : ago(each.until)),
            h('td', {}, mayChange && button('Let in', async () => {
                await send('DELETE', `/bans?network=${named(each.network)}`);
                note(`${each.network} is answered again.`);
                again();
            })))))),
        mayChange && h('button', {type: 'button', onclick: add}, 'Ban an address'));
}

function drawFirewall(place, {on, items}) {
    fill(place, !on && h('p', {class: 'quiet small'}, 'It is off (waf: detect or block turns it on).'),
        items.length === 0 ? nothing('No rule matched.') : table('Rules that matched', [['Rule'], ['What', 'name'], ['Requests', 'n'], ['Attacks', 'n'], ['Last']], h('tbody', {}, items.map((each) => h('tr', {},
            h('th', {scope: 'row'}, each.rule), h('td', {class: 'name'}, each.message, h('div', {class: 'quiet small'}, each.where)), h('td', {class: 'n'}, number(each.requests)), h('td', {class: each.attacks ? 'n bad' : 'n'}, each.attacks || NONE),
            h('td', {class: 'name small'}, each.id ? to('requests', {id: each.id}, each.path) : each.path))))));
}

function drawCertificates(place, {items, ca_sha256}, mayChange) {
    if (items.length === 0) {
        fill(place, nothing('There are none: the gateway speaks plain HTTP. The shortest way to some is ', h('code', {}, 'tls: { self_signed: true }'), ' and ', h('code', {}, 'listen: { https: 8443 }'), '.'));
        return;
    }
    fill(place, table('Certificates', [['Hosts', 'name'], ['From', 'name'], ['Ends']], h('tbody', {}, items.map((each) => h('tr', {},
        h('th', {scope: 'row', class: 'name'}, (each.hosts ?? []).join(', ') || 'any'), h('td', {class: 'name'}, each.issuer || each.source, each.problem && h('div', {class: 'problem small'}, each.problem, ' ', each.hint)),
        h('td', {class: 'short'}, each.not_after ? ago(each.not_after) : NONE))))),
    ca_sha256 && h('p', {class: 'quiet small'}, 'The CA’s SHA-256: ', h('code', {}, ca_sha256)),
    ca_sha256 && button('The CA, for clients', async () => {
        const {pem} = await get('/certificates:ca');
        box('The certificate authority made here', h('p', {}, 'Clients that trust it trust this gateway.'), h('pre', {}, pem), copier(pem));
    }, place),
    mayChange && items.some((each) => each.source === 'acme') && button('Renew what is due', async () => {
        const done = await post('/certificates:issue', {});
        note(done.items.length === 0 ? 'None is due.' : done.items.map((each) => each.problem ?? `${each.hosts.join(', ')} is issued.`).join(' '));
    }, place));
}

function drawTokens(place, found, mayChange, who, again) {
    const add = () => {
        const name = h('input', {required: true});
        const role = h('select', {}, h('option', {value: 'read'}, 'read: may look'), h('option', {value: 'full'}, 'full: may change'));
        const days = h('input', {type: 'number', min: 1, value: 30});
        const it = box('Create a token', form(null, 'Create it', [field('Name', name), field('Role', role), field('Valid for days', days), same('infergate admin token create NAME --role read --expires 30d')], async () => {
            const made = await post('/tokens', {name: name.value, role: role.value, expires_at: Math.floor(Date.now() / 1000) + Number(days.value) * 86400});
            it.close();
            box(`The token ${made.name}`, h('p', {}, 'It is shown this once.'), h('div', {class: 'secret'}, h('code', {}, made.token), copier(made.token)));
            again();
        }, {class: 'inner'}));
    };
    fill(place, table('Tokens', [['Token', 'name'], ['Role'], ['Made'], ['Until'], ['']], h('tbody', {}, found.map((each) => h('tr', {},
        h('th', {scope: 'row', class: 'name'}, each.name, h('div', {class: 'quiet small code'}, `${each.prefix}…`)), h('td', {}, each.role), h('td', {class: 'short'}, ago(each.created_at)), h('td', {class: 'short'}, each.expires_at ? ago(each.expires_at) : 'it is revoked'),
        h('td', {}, mayChange && h('button', {type: 'button', class: 'danger', onclick: () => confirm(`Revoke the token ${each.name}?`, [each.name === who.token?.name && h('p', {}, h('strong', {}, 'It is your own: you will stand before the door.')), same(`infergate admin token revoke ${word(each.name)}`)], 'Revoke it', async () => {
            await send('DELETE', `/tokens/${named(each.name)}`);
            again();
        })}, 'Revoke')))))),
    mayChange && h('button', {type: 'button', onclick: add}, 'Create a token'));
}

function drawAudit(place, page) {
    let rows = page.items;
    const body = h('tbody');
    const more = h('div');
    const row = (each) => h('tr', {}, h('td', {class: 'short', title: exact(each.at)}, ago(each.at)), h('td', {class: 'name'}, each.who), h('td', {class: 'short'}, each.action), h('td', {class: 'name'}, each.subject),
        h('td', {class: 'small name'}, change(each)));
    const draw = (next) => {
        fill(body, rows.map(row));
        fill(more, next !== null && button('Earlier ones', async () => {
            const following = await get('/audit', {limit: 50, after: next});
            rows = [...rows, ...following.items];
            draw(following.next);
        }, more));
    };
    fill(place, rows.length === 0 ? nothing('Nobody has changed anything yet.') : [table('Who changed what', [['When'], ['Who', 'name'], ['What'], ['Of', 'name'], ['Before → after', 'name']], body), more]);
    draw(page.next);
}

// A list, or names with values.
function inWords(value) {
    const parts = Array.isArray(value) ? value : Object.entries(value).filter(([, each]) => each !== null).map(([name, each]) => [name, each]);
    return parts.map((each) => [each].flat().map((one) => typeof one === 'object' ? JSON.stringify(one) : one).join(' ')).join(', ') || NONE;
}

// What differs, in words; of a long one, the beginning.
function change({before, after}) {
    const names = [...new Set([...Object.keys(before ?? {}), ...Object.keys(after ?? {})])].filter((name) => JSON.stringify(before?.[name]) !== JSON.stringify(after?.[name]));
    const shown = (value) => value === undefined || value === null ? NONE : typeof value === 'object' ? inWords(value) : String(value).replace(/^[0-9a-f]{64}$/, (hash) => `${hash.slice(0, 8)}…`);
    const told = before === null ? names.filter((name) => after[name] !== null && !['id', 'name', 'created_at'].includes(name)) : names;
    const text = told.map((name) => before === null ? `${name} ${shown(after[name])}` : `${name} ${shown(before?.[name])} → ${shown(after?.[name])}`).join(', ');
    return text.length > 160 ? h('span', {title: text.slice(0, 2000)}, `${text.slice(0, 160)} …`) : text;
}
