// params: what the operator says of a model's parameters (models.NAME.params): set, defaulted or stripped.
//
// The request is rewritten once and read again, so that whoever comes next (checks, limits, timeouts, the
// copy for a shadow) sees what the backend will get. The text of every key that stays is kept as it came.
import body from 'body.js';
import members from 'members.js';
import scan from 'scan.js';
import tokens from 'tokens.js';

// Of one of them, as src/infergate/state/route.py compiles it. VALUE: as JSON, null where the key is taken out;
// MISSING: 1 if only where the client does not say it.
const NAME = 0, VALUE = 1, MISSING = 2;
// What Ollama reads beside `options`; what else is said of a model it reads there.
// https://github.com/ollama/ollama/blob/main/docs/api.md
const OUTSIDE = ('model messages prompt suffix images input format options system template stream raw keep_alive'
    + ' tools think context logprobs top_logprobs truncate dimensions shift name').split(' ');
const OLLAMA = '/api/', OPTIONS = 'options';
// What OpenAI's `stop` is called by Anthropic.
const STOP = 'stop', STOP_SEQUENCES = 'stop_sequences';

// The request that is meant by this one of a model with `params`; the same one where they say nothing of it.
function of(r, request, params) {
    if (request.parsed === undefined || request.text === undefined) {   // a form
        return request;
    }
    const isOllama = r.uri.startsWith(OLLAMA);
    const outer = [], inner = [];
    params.forEach((each) => {
        const change = changeOf(r.uri, each);
        (isOllama && OUTSIDE.indexOf(change.key) === -1 ? inner : outer).push(change);
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

// { key, value, missing, names }: the key to write, and the names that say the same thing already.
function changeOf(uri, param) {
    let key = param[NAME];
    let names = [tokens.folded(key)];
    if (param[VALUE] === null) {
        return { key, value: null, missing: false, names };
    }
    if (tokens.isLength(key)) {   // by whichever name: an engine may go by the one that we did not look at
        names = tokens.LENGTHS;
        key = uri === '/v1/chat/completions' ? key : tokens.wordOf(uri) || key;
    } else if (key === STOP && uri === '/v1/messages') {
        key = STOP_SEQUENCES;
        names = [STOP, STOP_SEQUENCES];
    }
    return { key, value: param[VALUE], missing: param[MISSING] === 1, names };
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
    const options = inner.length === 0 ? undefined
        : left.filter((each) => each.name === OPTIONS && text[each.start] === '{').pop();
    let within;
    if (options !== undefined) {
        within = [];
        if (!rewrite(request, start + options.start, inner, [], within, part)) {
            within = undefined;
        }
    } else if (inner.length !== 0) {
        const texts = inner.filter((each) => each.value !== null)
            .map((each) => JSON.stringify(each.key) + ':' + each.value);
        if (texts.length !== 0) {
            left = left.filter((each) => each.name !== OPTIONS);
            added.push('"options":{' + texts.join(',') + '}');
        }
    }
    if (left.length === all.length && added.length === 0 && within === undefined) {
        return false;
    }
    pieces.push(Buffer.from('{' + added.join(',')));
    left.forEach((each, i) => {
        if (i !== 0 || added.length !== 0) {
            pieces.push(Buffer.from(','));
        }
        if (each === options && within !== undefined) {
            pieces.push(part(start + each.key, start + each.start));
            within.forEach((piece) => pieces.push(piece));
        } else {
            pieces.push(part(start + each.key, start + each.end));
        }
    });
    pieces.push(Buffer.from('}'));
    return true;
}

function isNull(text, member) {
    return text.slice(member.start, member.end).trim() === 'null';
}

// For `infergate explain`.
function words(params) {
    return 'params ' + params.map((each) => each[NAME]).join(' ') + ';';
}

export default { of, words };
