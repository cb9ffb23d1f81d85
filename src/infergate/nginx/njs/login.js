// login: where a browser goes that is not logged in, for auth: forward.

// The variable $ig_to_login.
function toLogin(r) {
    const v = r.variables;
    const scheme = v.ig_scheme || v.scheme;
    return v.ig_login + encodeURIComponent(scheme + '://' + v.ig_host + v.ig_asked);
}

export { toLogin };
export { refuse, unclear } from './any_service.js';
