// firewall: what ModSecurity refused, in the caller's dialect.

import * as refusal from './refusal.js';

const BLOCKED = {
    status: 403,
    code: 'waf_blocked',
    message: 'This request looks like an attack and was refused by the firewall. If it is none, '
        + 'give the operator the id in x-infergate-request-id.',
    param: null,
};

function refused(r) {
    refusal.answer(r, BLOCKED);
}

// For a request that came here by error_page: ModSecurity judges no such request, but its copy.
async function judge(r) {
    const verdict = await r.subrequest('/_waf/verdict', { method: r.method });
    r.internalRedirect(verdict.status === 204 ? '@careful' : '@waf_api');
}

// The copy of a request that is judged for the log: nobody reads this answer.
function judged(r) {
    r.return(204);
}

// For auth_request, where a body may be larger than memory: ModSecurity would read all of it first. Copies of the
// request are judged, with one byte, because it crashes on those without.
async function ask(r) {
    if (settings.waf_blocks && (await copied(r, '/_waf/verdict')).status === 204) {
        r.return(204);
        return;
    }
    await copied(r, '/_waf/api');   // which writes down what is found
    if (settings.waf_blocks) {
        r.variables.ig_refusal = JSON.stringify(BLOCKED);
    }
    r.return(settings.waf_blocks ? 403 : 204);
}

function copied(r, to) {
    return r.subrequest(to, { method: r.variables.request_method, body: ' ' });   // r itself is a GET of nginx's
}

export { refused, judge, judged, ask };
