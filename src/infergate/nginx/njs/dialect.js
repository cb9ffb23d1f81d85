// dialect: an error in words, and in the shape that clients of an endpoint know.

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

// What nginx itself refuses with, put in words.
function words(status) {
    return {
        400: 'The request could not be understood.',
        403: 'Access from here is not allowed.',
        404: 'There is no such endpoint.',
        405: 'This endpoint does not take that method.',
        408: 'The request did not arrive in time.',
        411: 'The request needs a Content-Length.',
        426: 'This endpoint speaks HTTP here.',
        421: 'There is nothing under this host name here.',
        413: 'The request body is larger than this gateway accepts.',
        414: 'The request URI is too long.',
        429: 'Too many requests from this address.',
        431: 'The request headers are too large.',
        495: 'The client certificate was not accepted.',
        496: 'A client certificate is required.',
        497: 'This port speaks https.',
        500: 'The gateway failed on this request.',
        502: 'The service behind the gateway could not be reached.',
        503: 'The service behind the gateway is not available.',
        501: 'This gateway does not know that transfer encoding.',
        504: 'The service behind the gateway did not answer in time.',
        505: 'This gateway speaks HTTP/1.1 and HTTP/2.',
    }[status] || 'The request was refused.';
}

export { shape, words };
