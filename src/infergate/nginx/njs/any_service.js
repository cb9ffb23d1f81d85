// any_service: what is looked at of every request to a web service, whoever may come in.
import * as clear from './clear.js' with { load: 'lazy' };
import * as improper from './improper.js' with { load: 'rare' };

// The variable $ig_refused_here, and the body filter of a request with an Upgrade that is not passed on: see
// improper.js. One function for both, because each costs every request 400 instructions.
function refuse(r, data, flags) {
    improper.service(r, data, flags);
    return '';
}

// The variable $ig_unclear: see clear.js.
function unclear(r) {
    return clear.unclear(r);
}

export { refuse, unclear };
