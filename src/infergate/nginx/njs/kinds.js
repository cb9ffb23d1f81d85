// kinds: which kinds of engines have an endpoint. A letter for each kind stands in the flags of a backend
// (route.js); settings.only has the letters of the kinds that have an endpoint which not all have
// (src/infergate/config/endpoints.py).

// The letters for a path; undefined where any backend will do.
function only(uri) {
    const at = settings.only.indexOf(' ' + uri + '=');
    if (at === -1) {
        return undefined;
    }
    const start = at + uri.length + 2;
    return settings.only.slice(start, settings.only.indexOf(' ', start));
}

// Whether a backend with these flags is of one of these kinds.
function has(flags, letters) {
    for (let i = 0; i < letters.length; i++) {
        if (flags.indexOf(letters[i]) !== -1) {
            return true;
        }
    }
    return false;
}

function names(letters) {
    const found = letters.split('').map((letter) => settings.kind_names[letter]);
    const last = found.pop();
    return found.length === 0 ? last : found.join(', ') + ' and ' + last;
}

// Why no backend of the model can ever answer there: { status, code, message, param, lacking }. Undefined where one
// can, or where one has not said yet what it is. flagsAt: where they stand in it.
function problem(uri, model, backends, flagsAt) {
    const letters = only(uri);
    if (letters === undefined) {
        return undefined;
    }
    const known = Object.keys(settings.kind_names).join('');
    const found = backends.map((backend) => backend[flagsAt]);
    if (found.some((flags) => has(flags, letters) || !has(flags, known))) {
        return undefined;
    }
    const own = names(known.split('').filter((letter) => found.some((flags) => flags.indexOf(letter) !== -1)).join(''));
    if (uri.startsWith('/api/')) {
        return { status: 400, code: 'wrong_dialect', param: 'model', lacking: true, message: 'The model `' + model + '` is served by '
            + own + ", which does not speak Ollama's API. Ask for it in OpenAI's: " + insteadOf(uri, model) + '.'
            + (settings.tier ? '' : ' Or have this gateway translate: `api: {}` in its configuration.') };
    }
    return { status: 404, code: 'unknown_endpoint', param: null, lacking: true, message: '`' + uri + '` is an endpoint of '
        + names(letters) + ', and the model `' + model + '` is served by ' + own + '.' };
}

function insteadOf(uri, model) {
    switch (uri) {
    case '/api/chat': return 'POST /v1/chat/completions';
    case '/api/generate': return 'POST /v1/completions';
    case '/api/show': return 'GET /v1/models/' + model;
    default: return 'POST /v1/embeddings';
    }
}

export { only, has, problem };
