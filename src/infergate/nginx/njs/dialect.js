// dialect: an error in the shape that clients of an endpoint know.

function openaiType(status) {
    if (status === 429) {
        return 'rate_limit_error';
    }
    return status >= 500 ? 'server_error' : 'invalid_request_error';
}

// https://docs.anthropic.com/en/api/errors
function anthropicType(status) {
    switch (status) {
    case 401: return 'authentication_error';
    case 403: return 'permission_error';
    case 404: return 'not_found_error';
    case 413: return 'request_too_large';
    case 429: return 'rate_limit_error';
    case 503: return 'overloaded_error';
    default: return status >= 500 ? 'api_error' : 'invalid_request_error';
    }
}

// refusal: { status, code, message, param }
function shape(uri, refusal) {
    if (uri.startsWith('/api/')) {
        return { error: refusal.message };
    }
    if (uri.startsWith('/v1/messages')) {
        const type = anthropicType(refusal.status);
        return { type: 'error', error: { type, message: refusal.message } };
    }
    return {
        error: {
            message: refusal.message,
            type: openaiType(refusal.status),
            param: refusal.param,
            code: refusal.code,
        },
    };
}

export default { shape };
