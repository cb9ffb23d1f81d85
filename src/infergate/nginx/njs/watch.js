// watch: whether the key of a WebSocket still may use its service, in the internal server.
//
//   @websocket_NAME ─ mirror ─▶ /.infergate/watch/NAME ─ unix socket ─▶ watching.js ─ a turn each ─▶ here
//
// nginx hands the bytes of a WebSocket on without any of our code. So a subrequest waits beside it: if
// the answer is 403 it ends the whole request (@closed), and if the WebSocket is over (ig_ended, set by
// websocket.js) it has to end, too, because nginx closes the connection after both.
//
// njs frees nothing while a request lasts: 550 bytes for each look. Hence the turns. A worker of before a
// reload gives its turn up, because its ig_keys may be another memory than the one that is active;
// ig_ended always is the same.
import * as admit from './admit.js';
import * as policyOf from './policy.js';

const BETWEEN_LOOKS_MS = 400;
const LOOKS = 450;   // three minutes

function mayGoOn(r) {
    const policy = admit.find({
        headersIn: r.headersIn,
        variables: { remote_addr: r.headersIn['x-infergate-address'] },
    });
    if (policy.indexOf('\n') === -1) {
        return false;
    }
    return policyOf.flags(policy).indexOf('s') === -1
        || policyOf.more().allowsService(policy, r.headersIn['x-infergate-service']);
}

// 200: it may go on, ask again. 204: it is over. 403: it must end.
function look(r) {
    const id = r.headersIn['x-infergate-watched'];
    const ended = ngx.shared.ig_ended;
    const ours = String(settings.revision);
    let left = LOOKS;

    function again() {
        const inForce = ended.get('revision');   // sweep.js
        if (ended.has(id)) {
            r.return(204);
        } else if (!mayGoOn(r)) {
            r.return(403);
        } else if (left < LOOKS && (left === 0 || (inForce !== undefined && inForce !== ours))) {
            r.return(200, '');
        } else {
            left--;
            setTimeout(again, BETWEEN_LOOKS_MS);
        }
    }

    again();
}

export { look };
