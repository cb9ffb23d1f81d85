// The story of one request: when what happened, why it went where it went, what it took and cost.

import {get, named} from '../ask.js';
import {fill, h} from '../dom.js';
import * as live from '../live.js';
import {copier, drawer, failed, loading, same, to, word} from '../parts.js';
import {ago, money, NONE, number, seconds} from '../words.js';
import {firstByte, modelOf, outcome} from './request_words.js';

export function story(id, closed) {
    const inside = h('div', {}, loading());
    drawer(`Request ${id}`, closed, inside);
    get(`/requests/${named(id)}`).then((found) => tell(inside, found), (problem) => fill(inside, failed(problem)));
}

function tell(inside, {entry, told, cost, currency}) {
    const tokens = entry['gen_ai.usage.input_tokens'];
    const cached = entry['gen_ai.usage.cache_read.input_tokens'];
    const facts = [
        ['Outcome', outcome(entry)], ['When it ended', ago(entry.ts)], ['Asked', `${entry.method} ${entry.uri}`],
        ['Model', modelOf(entry) ? [to('models', {name: modelOf(entry)}, modelOf(entry)), entry.model_asked && entry.model_asked !== modelOf(entry) && `, asked for as ${entry.model_asked}`] : NONE],
        ['Key', entry.key ? to('usage', {by: 'model', key: entry.key}, entry.key) : 'none'],
        ['Backend', entry.backend ? to('backends', {name: entry.backend}, entry.backend) : NONE],
        ['Tokens', tokens === null ? NONE : `${number(tokens)} in${cached ? `, ${number(cached)} of them cached` : ''}, ${number(entry['gen_ai.usage.output_tokens'])} out${entry.tokens_estimated ? ', counted here' : ''}`],
        ['Cost', cost === null || cost === undefined ? NONE : money(cost, currency)],
        ['Client', `${entry.ip}${entry.user_agent ? `, ${entry.user_agent}` : ''}`],
        entry.request_id && ['Its own id', entry.request_id],
    ].filter(Boolean);
    const why = told.slice(2).map((line) => line.trim().split(/\s{2,}/)).filter((parts) => parts.length > 0);
    fill(inside,
        timeline(entry),
        h('h2', {}, 'What it was'),
        h('dl', {}, facts.map(([name, what]) => [h('dt', {}, name), h('dd', {}, what)])),
        h('h2', {}, 'Why it went there'),
        h('pre', {}, why.map((parts) => parts.join('  ')).join('\n') || 'Nothing was decided.'),
        h('div', {class: 'row', style: {margin: '12px 0'}},
            copier(() => asCurl(entry), 'Copy as curl'),
            copier(() => JSON.stringify(entry, null, 2), 'Copy as JSON'),
            copier(() => report(entry, told), 'Copy a report without names')),
        same(`infergate explain ${word(entry.id)}`));
}

// From its first byte to the answer's last, on one line of time.
function timeline(entry) {
    const total = Math.max(entry.request_time, 0.001);
    const steps = [];
    const queue = entry.queue_ms / 1000;
    if (queue > 0) {
        steps.push({name: 'waits in the queue', from: 0, long: queue, kind: 'waits'});
    }
    // The last attempt ends with the request; each before it ended when the next began.
    let end = total;
    const attempts = [];
    for (const each of [...entry.attempts].reverse()) {
        const long = Math.min(each.response_time ?? 0, end);
        attempts.unshift({each, from: end - long, long});
        end -= long;
    }
    for (const {each, from, long} of attempts) {
        const bad = each.status === null || each.status >= 400 || each.status === 0;
        if (each.header_time !== null && !bad) {
            // Of a stream it is the first piece: vLLM sends its head at once.
            const chunk = each === entry.attempts.at(-1) ? entry['gen_ai.response.time_to_first_chunk'] ?? null : null;
            const waited = chunk === null ? each.header_time : Math.min(Math.max(0, chunk - from), long);
            steps.push({name: `${each.backend}: first ${chunk === null ? 'byte' : 'token'}`, from, long: waited, kind: 'waits'});
            steps.push({name: `${each.backend}: answer, ${each.status}`, from: from + waited, long: Math.max(0, long - waited), kind: ''});
        } else {
            steps.push({name: `${each.backend}: ${each.status ?? 'no status'}`, from, long, kind: 'bad'});
        }
    }
    if (steps.length === 0) {
        steps.push({name: entry.error || 'answered here', from: 0, long: total, kind: entry.error ? 'bad' : ''});
    }
    const out = entry['gen_ai.usage.output_tokens'];
    const first = firstByte(entry);
    const speed = out && first !== null && total > first ? `, ${number(out / (total - first))} tokens/s` : '';
    return h('div', {},
        h('p', {}, h('strong', {}, seconds(entry.request_time)), ' in all', first !== null && `, the first byte after ${seconds(first)}`, speed),
        h('div', {class: 'steps', role: 'list', 'aria-label': 'What happened when'}, steps.map(({name, from, long, kind}) =>
            h('div', {class: 'step', role: 'listitem'}, h('span', {class: 'name', title: name}, name),
                h('span', {class: 'track'}, h('span', {class: kind, style: {left: `${from / total * 100}%`, width: `${Math.min(100, long / total * 100)}%`}})),
                h('span', {class: 'n'}, seconds(long))))));
}

function asCurl(entry) {
    const url = live.now.status?.url ?? '';
    const model = modelOf(entry) || 'MODEL';
    const body = entry.uri.includes('embeddings') ? {model, input: 'Hello'} : {model, messages: [{role: 'user', content: 'Hello'}]};
    return `curl ${word(url + entry.uri)} -H "Authorization: Bearer $INFERGATE_KEY" \\\n  -H "Content-Type: application/json" -d ${word(JSON.stringify(body))}\n# What the client sent itself is in no log.`;
}

// For a bug report: who asked, from where and with what is left out, and backends are numbers.
function report(entry, told) {
    const names = new Map();
    const hidden = (name) => {
        if (!name) {
            return name;
        }
        if (!names.has(name)) {
            names.set(name, `backend-${names.size + 1}`);
        }
        return names.get(name);
    };
    const attempts = entry.attempts.map((each) => ({...each, backend: hidden(each.backend)}));
    const kept = {...entry, attempts, backend: hidden(entry.backend), ip: '(hidden)', key: entry.key && '(hidden)', user_agent: '(hidden)', request_id: '(hidden)', why: ''};
    const pattern = [...names.keys()].sort((a, b) => b.length - a.length).map((name) => name.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')).join('|');
    const said = told.filter((line) => !/^\s+key\s/.test(line)).map((line) => pattern ? line.replace(new RegExp(pattern, 'g'), hidden) : line);
    return `${said.join('\n')}\n\n${JSON.stringify(kept, null, 2)}\n`;
}
