// any_service: what is looked at of every request to a web service, whoever may come in.
import clear from 'clear.js';   // seldom
import improper from 'improper.js';   // rarely

// The variable $ig_refused_here: see improper.js.
function refuse(r) {
    improper.service(r);
    return '';
}

// The variable $ig_unclear: see clear.js.
function unclear(r) {
    return clear.unclear(r);
}

// The body filter of a request with an Upgrade that is not passed on: see improper.js.
function noTunnel(r, data, flags) {
    improper.noTunnel(r);
    r.sendBuffer(data, flags);
    r.done();
}

export default { refuse, unclear, noTunnel };
