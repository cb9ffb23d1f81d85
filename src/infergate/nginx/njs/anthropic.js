// anthropic: what is looked at of a request in Anthropic's dialect before another server gets it.
//
// Claude Code begins its system prompt with a line about itself that is another one in each request
// (x-anthropic-billing-header: cc_version=…; cch=…;), so that no engine finds the beginning of a prompt in its
// cache. It means something to Anthropic alone; to others it does not go.
import * as members from './members.js';
import * as scan from './scan.js';

const ATTRIBUTION = 'x-anthropic-billing-header:';
const LINE = /^[^\n]*\n*/;
// https://docs.anthropic.com/en/api/versioning
const VERSION = '2023-06-01', OLDER = '2023-01-01';
// Of route.js: of a backend that is Anthropic's own.
const OWN = 'h';

// Of the system prompt; '' where it does not begin so.
function attributed(request) {
    const system = request.parsed.system;
    const first = Array.isArray(system) && system[0] ? system[0].text : system;
    if (typeof first !== 'string') {
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
    return version === undefined || version === VERSION || version === OLDER || flags.some((each) => each.indexOf(OWN) !== -1)
        ? undefined : "'anthropic-version' must be " + VERSION + ' or ' + OLDER + ", not '" + version + "'.";
}

// Puts into request.splices what takes the line out.
function withoutAttribution(request, flags) {
    const text = attributed(request);
    const rest = text.startsWith(ATTRIBUTION) ? text.replace(LINE, '') : text;
    if (flags.indexOf(OWN) !== -1 || rest === text) {
        return;
    }
    const all = request.text;
    const found = members.find(all, 'system');
    const start = found[found.length - 1].start;   // the one that is read
    if (!Array.isArray(request.parsed.system)) {
        request.splices.push([start, members.endOfValue(all, start), JSON.stringify(rest)]);
        return;
    }
    const block = all.indexOf('{', start);
    if (rest === '') {
        const end = members.endOfValue(all, block);
        request.splices.push([block, end + /^\s*,?\s*/.exec(all.slice(end, end + 100))[0].length, '']);
        return;
    }
    const texts = members.find(all.slice(block), 'text');
    const at = block + texts[texts.length - 1].start;
    request.splices.push([at, members.endOfValue(all, at), JSON.stringify(rest)]);
}

export { ATTRIBUTION, VERSION, problem, withoutAttribution };
