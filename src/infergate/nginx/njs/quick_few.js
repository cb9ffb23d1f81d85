// quick_few: what quick.js has to look at of few requests.
import * as anthropic from './anthropic.js' with { load: 'rare' };
import * as check from './check.js';
import * as contract from './contract.js';
import * as scan from './scan.js' with { load: 'lazy' };
import * as streamOptions from './stream_options.js' with { load: 'rare' };
import * as tokens from './tokens.js' with { load: 'lazy' };

// What a route asks for that the short way does not do.
function isForRelay(r, found, options, request) {
    return options.slow !== undefined
        || (options.validation === undefined && request.verdict === 'odd')
        || (options.validation === 'strict' && check.problem(r.uri, request.parsed, 'strict') !== undefined)
        || (options.queue !== undefined && ngx.shared.ig_waiting.get(contract.WAITING_MODEL + found[contract.ROUTE_MODEL]) > 0);
}

// Whether anthropic.js has something to take out of such a system prompt.
function isAttributed(request, system) {
    const first = typeof system === 'string' ? system : system[0] && system[0].text;
    return typeof first === 'string'
        && (request.buffer === undefined ? first : scan.beginning(request, first)).startsWith(anthropic.ATTRIBUTION);
}

// Whether a backend of the model may not speak the dialect of an endpoint that most do: kinds.js looks.
function isMute(found) {
    return found[contract.ROUTE_BACKENDS].some((each) =>
        settings.mute.split('').some((letter) => each[contract.ROUTE_BACKEND_FLAGS].indexOf(letter) !== -1));
}

// What is to be written into a request for a stream. flags: of the backend.
function ofStream(r, request, flags) {
    const uri = r.uri;
    if (!uri.endsWith('completions')) {
        return '';
    }
    const isOurs = request.parsed.stream_options === undefined && flags.indexOf(contract.BACKEND_FLAG_USAGE) !== -1;
    r.variables.ig_note = (isOurs ? streamOptions.STRIP : '') + tokens.note(uri, request.parsed);
    return isOurs ? streamOptions.OURS : '';
}

export { isForRelay, isAttributed, isMute, ofStream };
