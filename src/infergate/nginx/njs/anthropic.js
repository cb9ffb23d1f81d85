// anthropic: what is looked at of a request in Anthropic's dialect before another server gets it.
//
// Claude Code begins its system prompt with a line about itself that is another one in each request
// (x-anthropic-billing-header: cc_version=…; cch=…;), so that no engine finds the beginning of a prompt in its
// cache. It means something to Anthropic alone; to others it does not go.
import * as contract from './contract.js';
import * as members from './members.js';
import * as scan from './scan.js';

const ATTRIBUTION = 'x-anthropic-billing-header:';
const LINE = /^[^\n]*\n*/;
// https://docs.anthropic.com/en/api/versioning
const VERSION = '2023-06-01', NEWER = '2026-10-21', OLDER = '2023-01-01';

// Where the system prompt stands. Programs in between make other dialects of Anthropic's.
function placeIn(uri) {
    return uri.indexOf('chat') !== -1 ? 'messages' : uri === '/v1/responses' ? 'instructions' : 'system';
}

// The system prompt: a text or a list of blocks. In a chat of OpenAI's or Ollama's the first message.
function prompt(uri, body) {
    const place = placeIn(uri);
    if (place !== 'messages') {
        return body[place];
    }
    const first = Array.isArray(body.messages) ? body.messages[0] : undefined;
    return first && (first.role === 'system' || first.role === 'developer') ? first.content : undefined;
}

// Its beginning; undefined where there is none.
function beginning(uri, body) {
    const system = prompt(uri, body);
    const first = Array.isArray(system) && system[0] ? system[0].text : system;
    return typeof first === 'string' ? first : undefined;
}

// All of its first text; '' where it does not begin so.
function attributed(uri, request) {
    const first = beginning(uri, request.parsed);
    if (first === undefined) {
        return '';
    }
    if (request.buffer === undefined) {
        return first;
    }
    return scan.beginning(request, first).startsWith(ATTRIBUTION) ? request.whole('', first) : '';
}

// Why no backend of the model takes this version of the API: a message, or undefined.
function problem(r, flags) {
    const version = r.variables.http_anthropic_version;
    return version === undefined || version === VERSION || version === NEWER || version === OLDER
        || flags.some((each) => each.indexOf(contract.BACKEND_FLAG_ANTHROPIC) !== -1)
        ? undefined : "'anthropic-version' must be " + NEWER + ', ' + VERSION + ' or ' + OLDER + ", not '" + version + "'.";
}

// Puts into request.splices what takes the line out.
function withoutAttribution(uri, request, flags) {
    const text = attributed(uri, request);
    const rest = text.startsWith(ATTRIBUTION) ? text.replace(LINE, '') : text;
    if (flags.indexOf(contract.BACKEND_FLAG_ANTHROPIC) !== -1 || rest === text) {
        return;
    }
    const all = request.text;
    const place = placeIn(uri);
    const outer = startOf(all, 0, place);
    const start = place === 'messages' ? startOf(all, all.indexOf('{', outer), 'content') : outer;
    if (!Array.isArray(prompt(uri, request.parsed))) {
        request.splices.push([start, members.endOfValue(all, start), JSON.stringify(rest)]);
        return;
    }
    const block = all.indexOf('{', start);
    if (rest === '') {
        const end = members.endOfValue(all, block);
        request.splices.push([block, end + /^\s*,?\s*/.exec(all.slice(end, end + 100))[0].length, '']);
        return;
    }
    const at = startOf(all, block, 'text');
    request.splices.push([at, members.endOfValue(all, at), JSON.stringify(rest)]);
}

// Where the value of a key stands in the object that begins at `from`: of one that is there twice, that which
// is read.
function startOf(all, from, name) {
    const found = members.find(all.slice(from), name);
    return from + found[found.length - 1].start;
}

export { ATTRIBUTION, VERSION, beginning, problem, withoutAttribution };
