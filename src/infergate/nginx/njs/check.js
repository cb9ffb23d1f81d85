// check: what no backend takes, refused at the door. The types of the well-known parameters are OpenAI's
// (https://platform.openai.com/docs/api-reference), read as pydantic does where it is lenient, because vLLM
// and all of FastAPI does so: "0.7" is a number. `lenient` looks at what every backend needs to be right,
// and at how much of what takes an engine's memory is asked for; `strict` at the ranges and roles, too.
//
// What plain.js calls fine must be fine here.

const NUMERIC = /^\s*[+-]?(?:\d+(?:_\d+)*\.?\d*|\.\d+)(?:e[+-]?\d+)?\s*$/i;
const DIGITS = /^\s*[+-]?\d+(?:_\d+)*(?:\.0*)?\s*$/;

// Most of each; OpenAI's, where it has one. logprobs: five times what OpenAI and vLLM give unless told
// otherwise. Images: what Anthropic takes.
const MOST_ANSWERS = 128, MOST_LOGPROBS = 100, MOST_STOPS = 64, MOST_IMAGES = 100;

// { error, param } for the first thing that is wrong, or undefined.
function problem(uri, body, how) {
    if (how === 'off' || !uri.startsWith('/v1/')) {
        return undefined;
    }
    const NUMBER = 'a number', WHOLE = 'a whole number', TRUTH = 'true or false', LIST = 'a list';
    const OBJECT = 'an object', STOP = 'a string or a list of at most ' + MOST_STOPS;
    const COUNT = 'true, false or a whole number';
    const types = {
        stream: TRUTH, max_tokens: WHOLE, max_completion_tokens: WHOLE, temperature: NUMBER, top_p: NUMBER,
        n: WHOLE, best_of: WHOLE, presence_penalty: NUMBER, frequency_penalty: NUMBER, seed: WHOLE, tools: LIST,
        logit_bias: OBJECT, stream_options: OBJECT, stop: STOP, logprobs: COUNT, top_logprobs: WHOLE,
        prompt_logprobs: WHOLE,
    };
    const bounds = {
        n: [1, MOST_ANSWERS], best_of: [1, MOST_ANSWERS], logprobs: [0, MOST_LOGPROBS],
        top_logprobs: [0, MOST_LOGPROBS], prompt_logprobs: [0, MOST_LOGPROBS],
    };
    const ranges = {
        temperature: [0, 2], top_p: [0, 1], max_tokens: [1, 1e9],
        max_completion_tokens: [1, 1e9], presence_penalty: [-2, 2], frequency_penalty: [-2, 2],
    };

    function isOf(type, value) {
        switch (type) {
        case NUMBER: return typeof value === 'number' || (typeof value === 'string' && NUMERIC.test(value));
        case WHOLE: return typeof value === 'string' ? DIGITS.test(value)
            : typeof value === 'number' && value === Math.floor(value);
        case COUNT: return typeof value === 'boolean' || isOf(WHOLE, value);
        case TRUTH: return typeof value === 'boolean';
        case LIST: return Array.isArray(value);
        case STOP: return typeof value === 'string' || (Array.isArray(value) && value.length <= MOST_STOPS);
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
        let images = 0;
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
            images += Array.isArray(content) ? content.filter(isImage).length : 0;
        }
        return images <= MOST_IMAGES ? undefined
            : { error: "'messages' may have " + MOST_IMAGES + ' images at most.', param: 'messages' };
    }

    function isImage(part) {
        return part !== null && typeof part === 'object' && String(part.type).indexOf('image') !== -1;
    }

    for (const name in body) {
        const value = body[name];
        if (types[name] !== undefined && value !== null) {
            if (!isOf(types[name], value)) {
                return { error: "'" + name + "' must be " + types[name] + '.', param: name };
            }
            const range = bounds[name] || (how === 'strict' ? ranges[name] : undefined);
            if (range !== undefined && typeof value !== 'boolean' && !(value >= range[0] && value <= range[1])) {
                return { error: "'" + name + "' must be from " + range[0] + ' to ' + range[1] + '.', param: name };
            }
        }
    }
    return uri === '/v1/chat/completions' ? badMessage(body.messages) : undefined;
}

export { problem };
