// Keys and teams: who may use what, how much of it, and what of that is used up.

import {every, get, named, post, send} from '../ask.js';
import {fill, h, keep} from '../dom.js';
import {box, button, confirm, copier, drawer, failed, field, form, loading, meter, note, nothing, panel, same, table, to, whole, word} from '../parts.js';
import {ago, count, money, NONE, number, percent} from '../words.js';
import {curlOf, offered} from './client_words.js';

const PAGE = 100;

export async function show({place, head, query, who, said, isCurrent}) {
    const mayChange = who.role === 'full';
    const body = h('tbody');
    const list = h('div', {}, loading());
    const more = h('div');
    const teams = h('div', {}, loading());
    let revoked = query.revoked === '1';
    let rows = [];
    let next = null;
    let used = new Map();
    let currency = '';
    let asked = 0;
    const search = h('input', {type: 'search', placeholder: 'Name or team', 'aria-label': 'Search keys', value: query.q ?? '', oninput: () => look()});
    const old = h('label', {class: 'row'}, h('input', {type: 'checkbox', checked: revoked, onchange: (event) => {
        revoked = event.target.checked;
        look();
    }}), 'Revoked ones too');
    head.append(h('span', {class: 'far'}, old, search, mayChange && h('button', {type: 'button', class: 'main', onclick: () => create(names, look)}, 'Create a key')));
    fill(place, panel(null, list, more), h('div', {class: 'two even'}, panel('Teams', teams), panel('Policies', h('div', {id: 'policies'}, loading()))));
    const names = {teams: [], policies: [], models: []};

    async function look() {
        const mine = ++asked;
        said({q: search.value, revoked: revoked ? 1 : null});
        const page = await get('/keys', {limit: PAGE, like: search.value, revoked: revoked || null});
        if (mine === asked && isCurrent()) {
            rows = page.items;
            next = page.next;
            draw(page);
        }
    }

    function draw(page) {
        if (rows.length === 0) {
            body.kept = undefined;
            fill(body);
            fill(list, nothing(search.value ? `No key has “${search.value}” in its name or team.` : 'There are no keys yet. ', !search.value && (mayChange ? 'Create the first one: its secret is shown once.' : h('code', {}, 'infergate keys create NAME'))));
        } else {
            if (!body.isConnected) {
                fill(list, table('Keys', [['Key', 'name'], ['Team', 'name'], ['Models'], ['Limits'], ['Budget'], ['Used in 30 days', 'n'], ['Made'], ['Until'], ['']], body));
            }
            keep(body, rows.map((each) => ({...each, used: used.get(each.name) ?? null})), (each) => each.id, (each) => row(each));
        }
        const others = page ? [...page.declared.map((name) => `${name} (in the configuration)`), ...page.in_keys_file.map((name) => `${name} (in the keys file)`)] : [];
        fill(more, next !== null && button(`${PAGE} more`, async () => {
            const following = await get('/keys', {limit: PAGE, like: search.value, revoked: revoked || null, after: next});
            rows = [...rows, ...following.items];
            next = following.next;
            draw(null);
        }), others.length > 0 && h('p', {class: 'quiet small'}, `Besides these: ${others.slice(0, 10).join(', ')}${others.length > 10 ? ` and ${others.length - 10} more` : ''}.`));
    }

    function row(each) {
        return h('tr', {class: each.revoked_at ? 'gone' : ''},
            h('th', {scope: 'row', class: 'name'}, h('button', {type: 'button', class: 'bare name', onclick: () => open(each.name)}, each.name),
                h('div', {class: 'quiet small code'}, `${each.prefix}…`)),
            h('td', {class: 'name'}, each.team ?? NONE),
            h('td', {}, models(each.models)),
            h('td', {class: 'small'}, whole(limits(each).split(', '))),
            h('td', {class: 'small'}, whole(each.budget ?? [])),
            h('td', {class: 'n'}, each.used ? to('usage', {by: 'model', key: each.name}, each.used.cost > 0 ? money(each.used.cost, currency) : `${number(each.used.prompt_tokens + each.used.completion_tokens)} tokens`) : NONE),
            h('td', {class: 'short'}, ago(each.created_at)),
            h('td', {class: 'short'}, each.revoked_at ? h('span', {class: 'mark bad'}, 'revoked') : each.expires_at ? ago(each.expires_at) : NONE),
            h('td', {}, mayChange && !each.revoked_at && h('button', {type: 'button', class: 'danger', onclick: () => revoke(each, look)}, 'Revoke')));
    }

    function open(name) {
        said({q: search.value, revoked: revoked ? 1 : null, name});
        const inside = h('div', {}, loading());
        const it = drawer(name, () => isCurrent() && said({q: search.value, revoked: revoked ? 1 : null}), inside);
        get(`/keys/${named(name)}`).then((found) => details(inside, found, mayChange, names, () => {
            it.close();
            look();
        }), (problem) => fill(inside, failed(problem)));
    }

    await look();
    if (query.name) {
        open(query.name);
    }
    const lists = await Promise.all([get('/usage', {by: 'key', limit: 1000}), every('/teams', 2000), every('/policies', 1000), every('/models', 1000)]);
    if (!isCurrent()) {
        return null;
    }
    used = new Map(lists[0].items.map((each) => [each.key, each]));
    currency = lists[0].currency;
    names.teams = lists[1];
    names.policies = lists[2];
    names.models = lists[3];
    if (rows.length > 0) {
        keep(body, rows.map((each) => ({...each, used: used.get(each.name) ?? null})), (each) => each.id, row);
    }
    drawTeams(teams, names, mayChange);
    drawPolicies(document.getElementById('policies'), names.policies);
    return null;
}

const models = (given) => given === undefined || given.includes('*') ? 'all' : `${given.slice(0, 3).join(', ')}${given.length > 3 ? ` and ${given.length - 3} more` : ''}`;

function limits(each) {
    const own = each.limits ?? {};
    return [
        own.requests_per_minute && `${number(own.requests_per_minute)} requests/min`,
        own.tokens_per_minute && `${number(own.tokens_per_minute)} tokens/min`,
        own.concurrent && `${number(own.concurrent)} at once`,
        own.max_tokens && `answers of ${number(own.max_tokens)} tokens`,
        each.policy && `policy ${each.policy}`,
        each.priority && each.priority !== 'normal' && `${each.priority} priority`,
    ].filter(Boolean).join(', ');
}

function details(inside, key, mayChange, names, changed) {
    const now = Date.now() / 1000;
    const facts = [['Id', h('code', {}, key.id)], ['Team', key.team ?? NONE], ['Policy', key.policy ?? NONE], ['Models', models(key.models)],
        ['Limits', limits(key) || 'none'], ['Only from', (key.allow ?? []).join(', ') || 'anywhere'], ['Made', ago(key.created_at)],
        ['Valid until', key.revoked_at ? ['revoked ', ago(key.revoked_at)] : key.expires_at ? ago(key.expires_at) : 'it is revoked']];
    fill(inside,
        h('h2', {}, 'Budget'),
        key.budgets.length === 0 ? nothing('None: it may use as much as there is.') : h('ul', {class: 'plain'}, key.budgets.map((each) =>
            h('li', {}, meter(each.used / each.most), `${number(each.used)} of ${each.budget} (${percent(each.used / each.most)}), anew `, ago(each.renewed_at)))),
        h('h2', {}, 'What it may do'),
        h('dl', {}, facts.map(([name, what]) => [h('dt', {}, name), h('dd', {}, what)])),
        h('p', {}, to('usage', {by: 'day', key: key.name}, 'Its usage'), ' · ', to('requests', {key: key.name}, 'Its requests')),
        h('h2', {}, 'Secrets'),
        h('ul', {class: 'plain'}, key.secrets.map((each) => h('li', {}, h('code', {}, `${each.prefix}…`), ' made ', ago(each.created_at),
            each.valid_until && [each.valid_until > now ? ', valid until ' : ', was valid until ', ago(each.valid_until)]))),
        mayChange && !key.revoked_at && [
            h('div', {class: 'row'}, h('button', {type: 'button', onclick: () => rotate(key, changed)}, 'New secret'), h('button', {type: 'button', class: 'danger', onclick: () => revoke(key, changed)}, 'Revoke')),
            change(key, names, changed)]);
}

function fieldsOf(key, names) {
    const own = key.limits ?? {};
    const input = (value, more = {}) => h('input', {value: value ?? '', ...more});
    const option = (value, chosen) => h('option', {value, selected: value === chosen}, value || '–');
    const all = {
        models: input((key.models ?? ['*']).join(', '), {list: 'known-models', placeholder: 'all, or qwen-*, llama3'}),
        team: h('select', {}, ['', ...names.teams.map((each) => each.name)].map((each) => option(each, key.team ?? ''))),
        policy: h('select', {}, ['', ...names.policies.map((each) => each.name)].map((each) => option(each, key.policy ?? ''))),
        requests_per_minute: input(own.requests_per_minute, {type: 'number', min: 1}),
        tokens_per_minute: input(own.tokens_per_minute, {type: 'number', min: 1}),
        concurrent: input(own.concurrent, {type: 'number', min: 1}),
        budget: input((key.budget ?? []).join(', '), {placeholder: '10M-tokens/month, 20 USD/week'}),
        expires: input(key.expires_at ? new Date(key.expires_at * 1000).toISOString().slice(0, 10) : '', {type: 'date'}),
    };
    const shown = h('div', {},
        field('Models', all.models), h('datalist', {id: 'known-models'}, names.models.map((each) => h('option', {value: each.name}))),
        h('div', {class: 'fields'}, field('Team', all.team), field('Policy', all.policy), field('Requests a minute', all.requests_per_minute), field('Tokens a minute', all.tokens_per_minute), field('Requests at once', all.concurrent), field('Last day', all.expires)),
        field('Budget', all.budget));
    return {all, shown};
}

// What the fields say, as the admin API takes it; of a change, also what is to end.
function termsOf(all, before) {
    const list = (input) => input.value.split(',').map((each) => each.trim()).filter(Boolean);
    const terms = {};
    const unset = [];
    const set = (name, value, had) => {
        if (value !== null) {
            terms[name] = value;
        } else if (had) {
            unset.push(name);
        }
    };
    const given = list(all.models).filter((each) => each !== 'all');
    set('models', given.length && !(given.length === 1 && given[0] === '*') ? given : null, before.models !== undefined);
    set('budget', list(all.budget).length ? list(all.budget) : null, (before.budget ?? []).length > 0);
    set('team', all.team.value || null, before.team);
    set('policy', all.policy.value || null, before.policy);
    set('expires_at', all.expires.value ? Math.floor(Date.parse(`${all.expires.value}T23:59:59`) / 1000) : null, before.expires_at);
    for (const name of ['requests_per_minute', 'tokens_per_minute', 'concurrent']) {
        if (all[name].value) {
            (terms.limits ??= {})[name] = Number(all[name].value);
        } else if (before.limits?.[name]) {
            unset.push(name);
        }
    }
    return {terms, unset};
}

function commandOf(verb, name, {terms}) {
    const limits_ = terms.limits ?? {};
    return [`infergate keys ${verb} ${word(name)}`, terms.team && `--team ${word(terms.team)}`, terms.policy && `--policy ${word(terms.policy)}`,
        terms.models && `--models ${word(terms.models.join(','))}`, limits_.requests_per_minute && `--rpm ${limits_.requests_per_minute}`,
        limits_.tokens_per_minute && `--tpm ${limits_.tokens_per_minute}`, limits_.concurrent && `--concurrency ${limits_.concurrent}`,
        terms.budget && `--budget ${word(terms.budget.join(','))}`].filter(Boolean).join(' ');
}

function create(names, done) {
    const name = h('input', {required: true, autocomplete: 'off', placeholder: 'alice'});
    const {all, shown} = fieldsOf({}, names);
    const it = box('Create a key', form(null, 'Create it', [field('Name', name), shown], async () => {
        const wanted = termsOf(all, {});
        const made = await post('/keys', {name: name.value, ...wanted.terms});
        it.close();
        secret(made, 'is valid now', commandOf('create', made.name, wanted));
        done();
    }, {class: 'inner'}));
    name.focus();
}

function change(key, names, changed) {
    const own = {...key, models: key.models};
    const {all, shown} = fieldsOf(own, names);
    return form('Change it', 'Change', [shown, h('p', {class: 'quiet small'}, h('code', {}, `infergate keys set ${word(key.name)} …`))], async () => {
        const {terms, unset} = termsOf(all, own);
        await send('PATCH', `/keys/${named(key.id)}`, {...terms, unset});
        note(`${key.name} is changed, from the next request on.`);
        changed();
    });
}

// The only time a secret is shown: to be copied, and to be tried at once.
function secret(made, what, command) {
    const tried = h('div', {role: 'status'});
    const shell = h('pre', {}, curlOf(made.key, made.models?.[0]));
    if (!made.models?.length) {
        get('/models', {limit: 1000}).then(({items}) => fill(shell, curlOf(made.key, offered(items)))).catch(() => {});
    }
    box(`${made.name} ${what}`,
        h('p', {}, 'This is its secret. It is shown this once, and kept only as a hash.'),
        h('div', {class: 'secret'}, h('code', {id: 'secret'}, made.key), copier(made.key)),
        made.unknown_models?.length > 0 && h('p', {class: 'problem'}, `Nobody serves these models now: ${made.unknown_models.join(', ')}. Are they misspelt?`),
        made.unknown_services?.length > 0 && h('p', {class: 'problem'}, `There are no services of these names: ${made.unknown_services.join(', ')}.`),
        made.unknown_guardrails?.length > 0 && h('p', {class: 'problem'}, `There are no guardrails of these names: ${made.unknown_guardrails.join(', ')}. Its requests are refused.`),
        h('div', {class: 'row'}, button('Test it', async () => {
            const {trial} = await import('../ask.js');
            const answer = await (await trial({path: '/v1/models', key: made.key})).json();
            fill(tried, h('p', {class: 'mark good'}, `It works: ${count(answer.data?.length ?? 0, 'model')} for it.`));
        }, tried), to('connect', {}, 'Settings for a program')),
        tried, h('h3', {}, 'In a shell'), shell, same(command));
}

function rotate(key, changed) {
    const grace = h('select', {}, [['0', 'at once'], ['3600', 'in an hour'], ['86400', 'in a day'], ['604800', 'in a week']].map(([value, title]) => h('option', {value, selected: value === '86400'}, title)));
    const it = box(`A new secret for ${key.name}`, form(null, 'Make it', [field('The one of now ends', grace)], async () => {
        const made = await post(`/keys/${named(key.id)}/rotate`, {grace_s: Number(grace.value)});
        it.close();
        changed();
        secret(made, 'has a new secret', `infergate keys rotate ${word(key.name)}`);
    }, {class: 'inner'}));
}

function revoke(key, done) {
    confirm(`Revoke ${key.name}?`, [h('p', {}, 'It is refused from the next request on. This cannot be undone; its usage and its place in the audit log stay.'), same(`infergate keys revoke ${word(key.name)}`)], 'Revoke it', async () => {
        await post(`/keys/${named(key.id)}/revoke`);
        note(`${key.name} is revoked.`);
        done();
    });
}

function drawTeams(place, names, mayChange) {
    const redraw = async () => {
        names.teams = await every('/teams', 2000);
        drawTeams(place, names, mayChange);
    };
    const add = () => {
        const name = h('input', {required: true});
        const budget = h('input', {placeholder: '100M-tokens/month'});
        const it = box('Create a team', form(null, 'Create it', [field('Name', name), field('Budget of all its keys together', budget)], async () => {
            await post('/teams', {name: name.value, budget: budget.value ? budget.value.split(',').map((each) => each.trim()) : []});
            it.close();
            await redraw();
        }, {class: 'inner'}));
    };
    fill(place, names.teams.length === 0 ? nothing('None. Keys of a team are counted together and may share a budget.')
        : table('Teams', [['Team', 'name'], ['Keys', 'n'], ['Budget'], ['']], h('tbody', {}, names.teams.slice(0, 200).map((each) => h('tr', {}, h('th', {scope: 'row', class: 'name'}, to('usage', {by: 'key', team: each.name}, each.name)),
            h('td', {class: 'n'}, to('keys', {q: each.name}, number(each.keys))), h('td', {}, each.budget.join(', ') || NONE),
            h('td', {}, mayChange && each.keys === 0 && button('Remove', async () => {
                await send('DELETE', `/teams/${named(each.name)}`);
                await redraw();
            })))))),
    mayChange && h('button', {type: 'button', onclick: add}, 'Create a team'));
}

function drawPolicies(place, policies) {
    fill(place, policies.length === 0 ? nothing('None. A policy says for many keys at once what they may do: ', h('code', {}, 'infergate policies set NAME --rpm 60'))
        : h('ul', {class: 'plain'}, policies.map((each) => h('li', {}, h('strong', {}, each.name), ': ', limits(each.allowed) || models(each.allowed.models), (each.allowed.budget ?? []).length > 0 && `, ${each.allowed.budget.join(', ')}`))));
}
