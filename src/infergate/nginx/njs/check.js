// check: what backends choke on, refused at the door. The types of the well-known parameters are
// OpenAI's (https://platform.openai.com/docs/api-reference). `lenient` looks at what every backend
// needs to be right; `strict` at the ranges and roles, too.

// { error, param } for the first thing that is wrong, or undefined.
function problem(uri, body, how) {
    if (how === 'off' || !uri.startsWith('/v1/')) {
        return undefined;
    }
    const NUMBER = 'a number', WHOLE = 'a whole number', TRUTH = 'true or false', LIST = 'a list';
    const types = {
        stream: TRUTH, max_tokens: WHOLE, max_completion_tokens: WHOLE, temperature: NUMBER, top_p: NUMBER,
        n: WHOLE, presence_penalty: NUMBER, frequency_penalty: NUMBER, seed: WHOLE, tools: LIST,
        logit_bias: 'an object', stream_options: 'an object',
    };
    const ranges = {
        temperature: [0, 2], top_p: [0, 1], n: [1, 128], max_tokens: [1, 1e9],
        max_completion_tokens: [1, 1e9], presence_penalty: [-2, 2], frequency_penalty: [-2, 2],
    };

    function isOf(type, value) {
        switch (type) {
        case NUMBER: return typeof value === 'number';
        case WHOLE: return typeof value === 'number' && value === Math.floor(value);
        case TRUTH: return typeof value === 'boolean';
        case LIST: return Array.isArray(value);
        default: return typeof value === 'object' && !Array.isArray(value);
        }
    }

    function badMessage(messages) {
        if (messages === undefined && how !== 'strict') {
            return undefined;   // the backend's own words for that are known to every client
        }
        if (!Array.isArray(messages) || (how === 'strict' && messages.length === 0)) {
            return { error: "'messages' must be a list of messages.", param: 'messages' };
        }
        const roles = ['system', 'developer', 'user', 'assistant', 'tool', 'function'];
        for (let i = 0; i < messages.length; i++) {
            const message = messages[i];
            const where = 'messages[' + i + ']';
            if (message === null || typeof message !== 'object' || typeof message.role !== 'string') {
                return { error: "'" + where + "' must be an object with a 'role'.", param: where };
            }
            const content = message.content;
            if (content !== undefined && content !== null && typeof content !== 'string' && !Array.isArray(content)) {
                return {
                    error: "'" + where + ".content' must be a string or a list of parts.",
                    param: where + '.content',
                };
            }
            if (how === 'strict' && roles.indexOf(message.role) === -1) {
                return {
                    error: "'" + where + ".role' must be one of " + roles.join(', ') + '.',
                    param: where + '.role',
                };
            }
        }
        return undefined;
    }

    for (const name in body) {
        const value = body[name];
        if (types[name] !== undefined && value !== null) {
            if (!isOf(types[name], value)) {
                return { error: "'" + name + "' must be " + types[name] + '.', param: name };
            }
            const range = how === 'strict' ? ranges[name] : undefined;
            if (range !== undefined && (value < range[0] || value > range[1])) {
                return { error: "'" + name + "' must be from " + range[0] + ' to ' + range[1] + '.', param: name };
            }
        }
    }
    return uri === '/v1/chat/completions' ? badMessage(body.messages) : undefined;
}

export default { problem };
