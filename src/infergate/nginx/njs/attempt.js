// attempt: what a backend answered to hedge.js, where it is no answer. See improper.js.
import * as improper from './improper.js';

function refuse(r) {
    if (r.httpVersion !== '0.9') {   // that, ngx.fetch refuses by itself
        improper.service(r);
    }
    return '';
}

export { refuse };
