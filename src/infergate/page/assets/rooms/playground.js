// Playground: a chat with one model, or two side by side; how soon and how fast they answer, and the
// same as curl and Python.

import {get, post, Problem, trial} from '../ask.js';
import {fill, h} from '../dom.js';
import {button, copier, failed, field, nothing, panel, to} from '../parts.js';
import {NONE, number, seconds} from '../words.js';
import {gatewayUrl, offered} from './client_words.js';

const LIVES_S = 3600;
let key = ''; // of this page, while it is open; nowhere else

export async function show({place, query, who, said, isCurrent}) {
    const models = (await get('/models', {limit: 1000})).items;
    if (!isCurrent()) {
        return null;
    }
    if (models.length === 0) {
        fill(place, panel(null, nothing('No backend has told its models yet. ', to('backends', {}, 'How are they?'))));
        return null;
    }
    const sides = [side(models, offered(models, query.model)), side(models, query.with ?? '', true)];
    const text = h('textarea', {rows: 3, placeholder: 'Ask something', 'aria-label': 'Message', style: {width: '100%'}, onkeydown: (event) => {
        if (event.key === 'Enter' && (event.ctrlKey || event.metaKey)) {
            ask();
        }
    }});
    const system = h('textarea', {rows: 2, 'aria-label': 'System message'});
    const temperature = h('input', {type: 'number', min: 0, max: 2, step: 0.1, placeholder: 'the model’s'});
    const most = h('input', {type: 'number', min: 1, placeholder: 'the model’s'});
    const secret = h('input', {type: 'password', autocomplete: 'off', value: key, placeholder: 'sk-ig-…', oninput: () => {
        key = secret.value.trim();
    }});
    const problem = h('div');
    const made = h('div', {role: 'status'});
    let stop = null;
    const send = h('button', {type: 'button', class: 'main', onclick: ask}, 'Send');
    const cut = h('button', {type: 'button', hidden: true, onclick: () => stop?.abort()}, 'Stop');

    async function ask() {
        const said_ = text.value.trim();
        fill(problem);
        if (!said_) {
            text.focus();
            return;
        }
        if (!key) {
            fill(problem, failed(new Problem(422, {detail: 'a key is needed', hint: 'Make one below, or put one of yours in.'})));
            return;
        }
        said({model: sides[0].model.value, with: sides[1].model.value});
        const extra = {...(temperature.value ? {temperature: Number(temperature.value)} : {}), ...(most.value ? {max_tokens: Number(most.value)} : {})};
        stop = new AbortController();
        send.disabled = true;
        cut.hidden = false;
        text.value = '';
        await Promise.all(sides.filter((each) => each.model.value).map((each) => each.ask(said_, system.value.trim(), extra, stop.signal)));
        send.disabled = false;
        cut.hidden = true;
        text.focus();
    }

    fill(place, h('div', {class: 'two even'}, sides.map((each) => each.shown)),
        panel(null, text, problem, h('div', {class: 'row', style: {'margin-top': '8px'}}, send, cut,
            h('button', {type: 'button', onclick: () => sides.forEach((each) => each.clear())}, 'Begin anew'),
            h('span', {class: 'quiet small'}, 'Ctrl Enter sends')),
        h('details', {style: {'margin-top': '12px'}, open: key === ''}, h('summary', {}, 'Key and settings'),
            h('div', {class: 'fields', style: {'margin-top': '8px'}}, field('Key', secret), field('Temperature', temperature), field('Most tokens', most)),
            who.role === 'full' && h('p', {}, button('Make a key for an hour', async () => {
                const answer = await post('/keys', {name: `playground-${Date.now().toString(36)}`, expires_at: Math.floor(Date.now() / 1000) + LIVES_S, limits: {requests_per_minute: 60}});
                key = answer.key;
                secret.value = key;
                fill(made, h('p', {class: 'quiet small'}, `${answer.name} is valid for an hour, for 60 requests a minute. It is kept in this page alone.`));
            }, made)), made,
            field('System message', system),
            h('p', {class: 'row'}, copier(() => asCurl(sides[0].body(text.value || 'Hello', system.value)), 'Copy as curl'), copier(() => asPython(sides[0].body(text.value || 'Hello', system.value)), 'Copy as Python')))));
    return () => stop?.abort();
}

// One model with its conversation. second: may be nobody.
function side(models, chosen, second = false) {
    const model = h('select', {'aria-label': second ? 'Second model' : 'Model'}, second && h('option', {value: ''}, 'nobody beside it'), models.map((each) => h('option', {value: each.name, selected: each.name === chosen}, each.name)));
    const talk = h('div', {class: 'talk', role: 'log', 'aria-label': second ? 'Second conversation' : 'Conversation', tabindex: '0'}, second ? nothing('Choose a second model to compare.') : nothing('Say something.'));
    let messages = [];

    function body(text, system, extra = {}) {
        const begun = system ? [{role: 'system', content: system}] : [];
        return {model: model.value, messages: [...begun, ...messages, {role: 'user', content: text}], ...extra};
    }

    async function ask(text, system, extra, signal) {
        const wanted = {...body(text, system, extra), stream: true, stream_options: {include_usage: true}};
        if (messages.length === 0) {
            fill(talk);
        }
        const answer = h('p', {class: 'answer'});
        const facts = h('p', {class: 'quiet small'}, 'waiting …');
        talk.append(h('p', {class: 'asked'}, text), answer, facts);
        const began = performance.now();
        let first = null;
        let usage = null;
        let said = '';
        let id = '';
        let stopped = '';
        try {
            const response = await trial({path: '/v1/chat/completions', key, body: wanted}, signal);
            id = response.headers.get('x-infergate-request-id') ?? '';
            for await (const event of events(response)) {
                if (event.error) {
                    throw new Problem(502, {detail: event.error.message ?? 'the answer broke off'});
                }
                const delta = event.choices?.[0]?.delta ?? {};
                const piece = delta.content ?? delta.reasoning_content ?? '';
                if (piece) {
                    first ??= performance.now();
                    said += piece;
                    answer.textContent = said;
                    talk.scrollTop = talk.scrollHeight;
                }
                usage = event.usage ?? usage;
            }
        } catch (problem) {
            if (problem.name === 'AbortError') {
                stopped = 'stopped, ';
            } else if (problem instanceof Problem) {
                fill(facts, h('span', {class: 'problem'}, problem.message, problem.hint && ` ${problem.hint}`));
                messages = [...messages, {role: 'user', content: text}].slice(0, -1);
                return;
            } else {
                stopped = 'the answer broke off, ';
            }
        }
        const ended = performance.now();
        const tokens = usage?.completion_tokens ?? null;
        const speed = tokens !== null && first !== null && ended > first ? `${number(tokens / ((ended - first) / 1000))} tokens/s` : NONE;
        messages = [...messages, {role: 'user', content: text}, {role: 'assistant', content: said}];
        fill(facts, `${stopped}first token after ${seconds(first === null ? null : (first - began) / 1000)}, ${speed}, ${seconds((ended - began) / 1000)} in all`, usage && `, ${number(usage.prompt_tokens)} + ${number(tokens)} tokens`, id && [' · ', to('requests', {id}, 'its story')]);
    }

    return {model, body, ask, shown: panel(null, field(second ? 'Beside it' : 'Model', model), talk), clear: () => {
        messages = [];
        fill(talk, nothing('Say something.'));
    }};
}

// The JSON of each server-sent event; a whole answer is one.
async function* events(response) {
    if (!(response.headers.get('content-type') ?? '').startsWith('text/event-stream')) {
        const whole = await response.json();
        yield {...whole, choices: (whole.choices ?? []).map((each) => ({delta: each.message}))};
        return;
    }
    const decoder = new TextDecoder();
    let rest = '';
    for (const reader = response.body.getReader(); ;) {
        const {done, value} = await reader.read();
        if (done) {
            return;
        }
        rest += decoder.decode(value, {stream: true});
        const lines = rest.split('\n');
        rest = lines.pop();
        for (const line of lines) {
            if (line.startsWith('data:') && !line.includes('[DONE]')) {
                yield JSON.parse(line.slice(5));
            }
        }
    }
}

function asCurl(body) {
    return `curl ${gatewayUrl()}/v1/chat/completions \\\n  -H "Authorization: Bearer $INFERGATE_KEY" \\\n  -H "Content-Type: application/json" \\\n  -d '${JSON.stringify(body).replaceAll("'", "'\\''")}'`;
}

function asPython(body) {
    const given = Object.entries(body).map(([name, value]) => `    ${name}=${JSON.stringify(value)},`).join('\n');
    return `import os\n\nfrom openai import OpenAI\n\nclient = OpenAI(base_url="${gatewayUrl()}/v1", api_key=os.environ["INFERGATE_KEY"])\nanswer = client.chat.completions.create(\n${given}\n)\nprint(answer.choices[0].message.content)\n`;
}
