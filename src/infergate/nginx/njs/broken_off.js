// broken_off: the last event of a stream of which no more comes, in the shape that clients of an endpoint know.

// isSse: of events, else of lines.
function event(uri, isSse, message, code) {
    if (!isSse) {
        return '\n' + JSON.stringify({ error: message }) + '\n';
    }
    if (uri.startsWith('/v1/messages')) {
        return '\n\nevent: error\ndata: '
            + JSON.stringify({ type: 'error', error: { type: 'api_error', message } }) + '\n\n';
    }
    if (uri.startsWith('/v1/responses')) {
        return '\n\nevent: error\ndata: '
            + JSON.stringify({ type: 'error', code: 'server_error', message, param: null }) + '\n\n';
    }
    return '\n\ndata: ' + JSON.stringify({
        error: { message, type: 'server_error', param: null, code },
    }) + '\n\n';
}

export { event };
