// attempt: what our own server does with an attempt (attempts.conf). It refuses what is no answer: see improper.js.
import * as improper from './improper.js';

function refuse(r) {
    if (r.httpVersion !== '0.9') {   // that, ngx.fetch refuses by itself
        improper.service(r);
    }
    return '';
}

export { refuse };
export { begin, head, piece } from './late.js';
export { withhold } from './first_token.js';
