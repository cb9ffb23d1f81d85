// check: what backends choke on, refused at the door. The types of the well-known parameters are
// OpenAI's (https://platform.openai.com/docs/api-reference). `lenient` looks at what every backend
// needs to be right; `strict` at the ranges and roles, too.

const NUMBER = 1, WHOLE = 2, TRUTH = 3, LIST = 4, OBJECT = 5;
const TYPES = {
    stream: TRUTH, max_tokens: WHOLE, max_completion_tokens: WHOLE, temperature: NUMBER, top_p: NUMBER,
    n: WHOLE, presence_penalty: NUMBER, frequency_penalty: NUMBER, seed: WHOLE, tools: LIST,
    logit_bias: OBJECT, stream_options: OBJECT, logprobs: 0, stop: 0,
};
const WORDS = ['', 'a number', 'a whole number', 'true or false', 'a list', 'an object'];
const RANGES = { temperature: [0, 2], top_p: [0, 1], n: [1, 128], max_tokens: [1, 1e9],
    max_completion_tokens: [1, 1e9], presence_penalty: [-2, 2], frequency_penalty: [-2, 2] };
const ROLES = ['system', 'developer', 'user', 'assistant', 'tool', 'function'];

function isOf(type, value) {
    switch (type) {
    case NUMBER: return typeof value === 'number';
    case WHOLE: return typeof value === 'number' && value === Math.floor(value);
    case TRUTH: return typeof value === 'boolean';
    case LIST: return Array.isArray(value);
    case OBJECT: return typeof value === 'object' && !Array.isArray(value);
    default: return true;
    }
}

// { error, param } for the first thing that is wrong, or undefined.
function problem(uri, body, how) {
    if (how === 'off' || !uri.startsWith('/v1/')) {
        return undefined;
    }
    for (const name in body) {
        const type = TYPES[name];
        const value = body[name];
        if (type !== undefined && value !== null) {
            if (!isOf(type, value)) {
                return { error: "'" + name + "' must be " + WORDS[type] + '.', param: name };
            }
            const range = how === 'strict' ? RANGES[name] : undefined;
            if (range !== undefined && (value < range[0] || value > range[1])) {
                return { error: "'" + name + "' must be from " + range[0] + ' to ' + range[1] + '.', param: name };
            }
        }
    }
    return uri === '/v1/chat/completions' ? badMessage(body.messages, how) : undefined;
}

function badMessage(messages, how) {
    if (messages === undefined && how !== 'strict') {
        return undefined;   // the backend's own words for that are known to every client
    }
    if (!Array.isArray(messages) || (how === 'strict' && messages.length === 0)) {
        return { error: "'messages' must be a list of messages.", param: 'messages' };
    }
    for (let i = 0; i < messages.length; i++) {
        const message = messages[i];
        const where = 'messages[' + i + ']';
        if (message === null || typeof message !== 'object' || typeof message.role !== 'string') {
            return { error: "'" + where + "' must be an object with a 'role'.", param: where };
        }
        const content = message.content;
        if (content !== undefined && content !== null && typeof content !== 'string' && !Array.isArray(content)) {
            return { error: "'" + where + ".content' must be a string or a list of parts.", param: where + '.content' };
        }
        if (how === 'strict' && ROLES.indexOf(message.role) === -1) {
            return { error: "'" + where + ".role' must be one of " + ROLES.join(', ') + '.', param: where + '.role' };
        }
    }
    return undefined;
}

export default { problem };
