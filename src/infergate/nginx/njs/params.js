// params: what the operator says of a model's parameters (models.NAME.params): set, defaulted or stripped.
//
// The request is rewritten once and read again, so that whoever comes next (checks, limits, timeouts, the
// copy for a shadow) sees what the backend will get. The text of every key that stays is kept as it came.
import * as body from './body.js';
import * as contract from './contract.js';
import * as members from './members.js';
import * as scan from './scan.js';
import * as tokens from './tokens.js';

// What Ollama reads beside `options`; what else is said of a model it reads there.
// https://github.com/ollama/ollama/blob/main/docs/api.md
const OUTSIDE = ('model messages prompt suffix images input format options system template stream raw keep_alive'
    + ' tools think context logprobs top_logprobs truncate dimensions shift name').split(' ');
const OLLAMA = '/api/', OPTIONS = 'options';
// What OpenAI's `stop` is called by Anthropic.
const STOP = 'stop', STOP_SEQUENCES = 'stop_sequences';
// Refuses what it does not know: https://docs.anthropic.com/en/api/messages-count-tokens
const COUNTED = '/v1/messages/count_tokens';
// Has two names for a length; its batch too.
const CHAT = '/v1/chat/completions', MAX_TOKENS = 'max_tokens';

// The request that is meant by this one of a model with `params`; the same one where they say nothing of it.
function of(r, request, params) {
    if (request.parsed === undefined || request.text === undefined) {   // a form
        return request;
    }
    const isOllama = r.uri.startsWith(OLLAMA);
    const outer = [], inner = [];
    params.forEach((each) => {
        const change = changeOf(r.uri, each);
        const place = change !== undefined && isOllama && OUTSIDE.indexOf(change.key) === -1 ? inner : outer;
        // Two that are one here, as OpenAI's two names of a length: the first, which is the one that is set.
        if (change !== undefined && (change.value === null || !place.some((other) => other.value !== null && other.key === change.key))) {
            place.push(change);
        }
    });
    const pieces = [];
    const part = request.buffer === undefined ? (from, to) => Buffer.from(request.text.slice(from, to))
        : (from, to) => request.buffer.slice(scan.offset(request, from), scan.offset(request, to));
    const start = request.text.indexOf('{');
    if (!rewrite(request, start, outer, inner, pieces, part)) {
        return request;
    }
    pieces.unshift(part(0, start));
    pieces.push(part(members.endOfValue(request.text, start), request.text.length));
    const buffer = Buffer.concat(pieces);
    const meant = scan.of(buffer) || body.of(r.uri, buffer.toString(), buffer);
    meant.bytes = request.bytes;   // limits are about what the client sent
    return meant;
}

// { key, value, missing, names }: the key to write, and the names that say the same thing already. Undefined
// where the endpoint has no such thing: no length, where nothing is written; nothing but what Anthropic counts.
function changeOf(uri, param) {
    const name = param[contract.PARAM_NAME];
    const isOut = param[contract.PARAM_VALUE] === null;
    const word = tokens.wordOf(uri);
    let key = name;
    let names = [tokens.folded(key)];
    if (!isOut && (uri === COUNTED || (word === undefined && tokens.isLength(name)))) {
        return undefined;
    }
    if (tokens.isLength(name)) {
        if (isOut) {   // by OpenAI's names, of which it has two
            names = word === undefined || word === MAX_TOKENS ? names : names.concat(word);
        } else {   // by whichever name: an engine may go by the one that we did not look at
            names = tokens.LENGTHS;
            key = uri.startsWith(CHAT) ? key : word;
        }
    } else if (name === STOP && uri === '/v1/messages') {
        key = STOP_SEQUENCES;
        names = [STOP, STOP_SEQUENCES];
    }
    return { key, value: param[contract.PARAM_VALUE], missing: param[contract.PARAM_MISSING] === 1, names };
}

// Adds the pieces of the object that begins at `start` of the text, as `changes` want it; `inner`: those of
// the object in its `options`. Whether it is another one then; where it is not, pieces are as they were.
function rewrite(request, start, changes, inner, pieces, part) {
    const text = request.text.slice(start);
    const all = members.find(text);
    all.forEach((each) => {
        each.name = tokens.folded(JSON.parse(text.slice(each.key, each.named)));
        each.end = members.endOfValue(text, each.start);
    });
    let left = all;
    const added = [];
    changes.forEach((change) => {
        const said = left.filter((each) => change.names.indexOf(each.name) !== -1);
        if (change.missing && said.some((each) => !isNull(text, each))) {
            return;
        }
        left = left.filter((each) => said.indexOf(each) === -1);
        if (change.value !== null) {
            added.push(JSON.stringify(change.key) + ':' + change.value);
        }
    });
    const isOther = optionsToo(request, start, left, inner, part);
    if (inner.length !== 0 && !left.some((each) => isObject(text, each))) {
        const texts = inner.filter((each) => each.value !== null)
            .map((each) => JSON.stringify(each.key) + ':' + each.value);
        if (texts.length !== 0) {
            left = left.filter((each) => each.name !== OPTIONS);
            added.push('"options":{' + texts.join(',') + '}');
        }
    } else if (inner.length !== 0) {
        left = left.filter((each) => each.name !== OPTIONS || isObject(text, each));
    }
    if (left.length === all.length && added.length === 0 && !isOther) {
        return false;
    }
    pieces.push(Buffer.from('{' + added.join(',')));
    left.forEach((each, i) => {
        if (i !== 0 || added.length !== 0) {
            pieces.push(Buffer.from(','));
        }
        if (each.within !== undefined) {
            pieces.push(part(start + each.key, start + each.start));
            each.within.forEach((piece) => pieces.push(piece));
        } else {
            pieces.push(part(start + each.key, start + each.end));
        }
    });
    pieces.push(Buffer.from('}'));
    return true;
}

// The same of the `options` among these members, whose pieces are `within` then. Where there are several, Go
// puts together what they say: only the last gets what is to be there. Whether one of them is another one.
function optionsToo(request, start, left, inner, part) {
    const found = inner.length === 0 ? []
        : left.filter((each) => isObject(request.text.slice(start), each));
    const out = inner.filter((each) => !each.missing)
        .map((each) => ({ key: each.key, value: null, missing: false, names: each.names }));
    found.forEach((each, i) => {
        const within = [];
        if (rewrite(request, start + each.start, i === found.length - 1 ? inner : out, [], within, part)) {
            each.within = within;
        }
    });
    return found.some((each) => each.within !== undefined);
}

function isObject(text, member) {
    return member.name === OPTIONS && text[member.start] === '{';
}

function isNull(text, member) {
    return text.slice(member.start, member.end).trim() === 'null';
}

// For `infergate explain`.
function words(params) {
    return 'params ' + params.map((each) => each[contract.PARAM_NAME]).join(' ') + ';';
}

export { of, words };
