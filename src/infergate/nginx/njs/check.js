// check: what no backend takes, refused at the door. What the well-known parameters must be is in
// src/infergate/config/known_params.py. `lenient` looks at what every backend needs to be right,
// and at how much of what takes an engine's memory is asked for; `strict` at the ranges and roles, too.
//
// What plain.js calls fine must be fine here.

const NUMERIC = /^\s*[+-]?(?:\d+(?:_\d+)*\.?\d*|\.\d+)(?:e[+-]?\d+)?\s*$/i;
const DIGITS = /^\s*[+-]?\d+(?:_\d+)*(?:\.0*)?\s*$/;

// What Anthropic takes.
const MOST_IMAGES = 100;

// { error, param } for the first thing that is wrong, or undefined.
function problem(uri, body, how) {
    if (how === 'off' || !uri.startsWith('/v1/')) {
        return undefined;
    }
    const types = settings.param_types;
    const bounds = settings.param_bounds;
    const ranges = how === 'strict' ? settings.param_ranges : {};
    for (const name in body) {
        const value = body[name];
        if (types[name] !== undefined && value !== null) {
            if (!isOf(types[name], value)) {
                return { error: "'" + name + "' must be " + types[name] + '.', param: name };
            }
            const range = bounds[name] || ranges[name];
            if (range !== undefined && typeof value !== 'boolean' && !(value >= range[0] && value <= range[1])) {
                return { error: "'" + name + "' must be from " + range[0] + ' to ' + range[1] + '.', param: name };
            }
        }
    }
    return uri === '/v1/chat/completions' ? badMessages(body.messages, how === 'strict') : undefined;
}

function isOf(type, value) {
    switch (type) {
    case 'a number': return typeof value === 'number' || (typeof value === 'string' && NUMERIC.test(value));
    case 'a whole number': return isWhole(value);
    case 'true, false or a whole number': return typeof value === 'boolean' || isWhole(value);
    case 'true or false': return typeof value === 'boolean';
    case 'a list': return Array.isArray(value);
    case 'an object': return typeof value === 'object' && !Array.isArray(value);
    default: return typeof value === 'string' || (Array.isArray(value) && value.length <= settings.most_stops);
    }
}

function isWhole(value) {
    return typeof value === 'string' ? DIGITS.test(value) : typeof value === 'number' && value === Math.floor(value);
}

function badMessages(messages, isStrict) {
    if (messages === undefined && !isStrict) {
        return undefined;   // the backend's own words for that are known to every client
    }
    if (!Array.isArray(messages) || (isStrict && messages.length === 0)) {
        return { error: "'messages' must be a list of messages.", param: 'messages' };
    }
    let images = 0;
    for (let i = 0; i < messages.length; i++) {
        const wrong = badMessage(messages[i], 'messages[' + i + ']', isStrict);
        if (wrong !== undefined) {
            return wrong;
        }
        const content = messages[i].content;
        images += Array.isArray(content) ? content.filter(isImage).length : 0;
    }
    return images <= MOST_IMAGES ? undefined
        : { error: "'messages' may have " + MOST_IMAGES + ' images at most.', param: 'messages' };
}

function badMessage(message, where, isStrict) {
    if (message === null || typeof message !== 'object' || typeof message.role !== 'string') {
        return { error: "'" + where + "' must be an object with a 'role'.", param: where };
    }
    const content = message.content;
    if (content !== undefined && content !== null && typeof content !== 'string' && !Array.isArray(content)) {
        return { error: "'" + where + ".content' must be a string or a list of parts.", param: where + '.content' };
    }
    return isStrict ? badRole(message.role, where + '.role') : undefined;
}

function badRole(role, where) {
    const roles = ['system', 'developer', 'user', 'assistant', 'tool', 'function'];
    return roles.indexOf(role) !== -1 ? undefined
        : { error: "'" + where + "' must be one of " + roles.join(', ') + '.', param: where };
}

function isImage(part) {
    return part !== null && typeof part === 'object' && String(part.type).indexOf('image') !== -1;
}

export { problem };
