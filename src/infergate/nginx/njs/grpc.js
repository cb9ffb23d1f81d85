// grpc: what a gRPC service's clients get where we refuse. They read a status of gRPC's own, in an answer
// that has nothing but headers, and take any other HTTP status than 200 for a broken server.
import * as refusal from './refusal.js';

// https://grpc.io/docs/guides/status-codes/
function codeOf(status) {
    switch (status) {
    case 400: return 3;    // INVALID_ARGUMENT
    case 401: return 16;   // UNAUTHENTICATED
    case 403: return 7;    // PERMISSION_DENIED
    case 404: case 405: return 12;   // UNIMPLEMENTED
    case 413: case 429: return 8;    // RESOURCE_EXHAUSTED
    case 502: case 503: return 14;   // UNAVAILABLE
    case 504: return 4;    // DEADLINE_EXCEEDED
    default: return status >= 500 ? 13 : 2;   // INTERNAL, UNKNOWN
    }
}

// The variable $ig_failure, as in refusal.js.
function failure(r) {
    const status = Number(r.variables.status) || 500;
    const text = refusal.failure(r);
    if (!(r.headersIn['Content-Type'] || '').startsWith('application/grpc')) {
        return text;
    }
    const error = JSON.parse(text).error;
    r.headersOut['Content-Type'] = 'application/grpc';
    r.headersOut['grpc-status'] = String(codeOf(status));
    r.headersOut['grpc-message'] = encodeURIComponent(error.message || error);
    return '';
}

// Header filter. The log keeps HTTP's own status.
function status(r) {
    if (r.headersOut['grpc-status'] !== undefined) {
        r.status = 200;
    }
}

export { failure, status };
export { refused, answer } from './refusal.js';
