// endpoint: a request for an endpoint of the operator's own (docs/api.md). Which there are, and who may ask each, the
// process that has them knows: it is told the name of the key, and lent what stands for it (tier.js).
import * as contract from './contract.js';
import * as refuse from './refuse.js';
import * as tier from './tier.js';

// Who has no key is told apart there: some are for anyone.
function serve(r) {
    r.variables.ig_handed = contract.HANDED_ENDPOINT;
    refuse.unlessFull(r, () => {
        if (r.variables.ig_admitted === 'yes') {
            tier.lend(r);
        }
        r.internalRedirect('@endpoint_handed');
    });
}

export { serve };
export { admit } from './admit.js';
