// page: a refusal as a page, for browsers.

const TITLES = {
    400: 'Bad request', 401: 'Not logged in', 403: 'Not allowed', 404: 'Not found', 405: 'Not allowed',
    408: 'Too slow', 413: 'Too large', 414: 'Too long', 421: 'Unknown host', 429: 'Too many requests',
    431: 'Too large', 502: 'Not reachable', 503: 'Not available', 504: 'No answer',
};

// Whether it is to be read by a person: what a browser goes to, of the programs' API at least none of. A
// program that would take a page, too, is no browser.
function isFor(r, uri) {
    const mode = r.variables.http_sec_fetch_mode;
    const isApi = !r.variables.ig_service && (uri.startsWith('/v1/') || uri.startsWith('/api/'));
    return !isApi && (mode === undefined ? r.method === 'GET' || r.method === 'HEAD' : mode === 'navigate');
}

// The page of errors.page, or our own (templates/error.html), with what happened filled in.
function html(r, refusal) {
    const filled = {
        status: String(refusal.status),
        title: TITLES[refusal.status] || 'Something went wrong',
        message: refusal.message,
        request_id: r.variables.ig_request_id || '',
    };

    function escaped(text) {
        return text.replace(/[&<>"']/g, (sign) => '&#' + sign.charCodeAt(0) + ';');
    }

    r.headersOut['Content-Type'] = 'text/html; charset=utf-8';
    r.headersOut['Cache-Control'] = 'no-store';
    return settings.error_page.replace(/\{\{(\w+)\}\}/g, (all, name) => {
        return filled[name] === undefined ? all : escaped(filled[name]);
    });
}

export { isFor, html };
