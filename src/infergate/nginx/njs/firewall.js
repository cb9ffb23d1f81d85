// firewall: what ModSecurity refused, in the caller's dialect.

import * as refusal from './refusal.js';

function refused(r) {
    refusal.answer(r, {
        status: 403,
        code: 'waf_blocked',
        message: 'This request looks like an attack and was refused by the firewall. If it is none, '
            + 'give the operator the id in x-infergate-request-id.',
        param: null,
    });
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

export { refused, judge, judged };
