// streamed: whether a request asks for its answer in pieces. Ollama streams where nothing is said.
function isStreamed(uri, request) {
    const said = request.stream === undefined && request.parsed ? request.parsed.stream : request.stream;
    return said === true || (said !== false && uri.startsWith('/api/') && request.parsed !== undefined);
}

export { isStreamed };
