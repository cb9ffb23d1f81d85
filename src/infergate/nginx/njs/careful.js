// careful: an inference endpoint whose body was not plain.
import * as admit from './admit.js';
import * as body from './body.js';
import * as charge from './charge.js';
import * as contract from './contract.js';
import * as form from './form.js';
import * as refuse from './refuse.js';
import * as relay from './relay.js';
import * as scan from './scan.js';
import * as tier from './tier.js' with { load: 'rare' };

// A large JSON body: searched where that is quicker than to parse it, and possible.
const large = {
    read: (r) => scan.read(r) || body.read(r),
    problem: body.problem,
    has: body.has,
    edited: (request, model, insert) =>
        (request.buffer !== undefined ? scan : body).edited(request, model, insert),
};

function formatOf(r) {
    return r.variables.ig_content_type === 'application/json' ? large : form;
}

function serve(r) {
    begin(r, false);
}

// met: the request took from its limits already (cached.js).
function begin(r, met) {
    if (!met) {   // by the short way, which failed half-way
        charge.settle(r, 0);
    }
    if (!admit.remember(r)) {
        refuse.refuse(r, 401, 'invalid_api_key', 'Incorrect API key provided.');
        return;
    }
    if (settings.unpacks && tier.unpacks(r)) {   // not where a firewall has to see it
        refuse.unlessFull(r, () => tier.handOver(r, contract.HANDED_BODY));
        return;
    }
    relay.handle(r, large, met);
}

export { serve, begin, formatOf };
