// watch: whether the key of a WebSocket still may use its service, or its model, in the internal server.
//
//   @websocket_NAME, @realtime ─ mirror ─▶ /.infergate/watch ─ unix socket ─▶ watching.js ─ a turn each ─▶ here
//
// nginx hands the bytes of a WebSocket on without any of our code. So a subrequest waits beside it: if
// the answer is 403 it ends the whole request (@closed), and if the WebSocket is over (ig_ended, set by
// websocket_end.js) it has to end, too, because nginx closes the connection after both.
//
// njs frees nothing while a request lasts: 550 bytes for each look. Hence the turns. A worker of before a
// reload gives its turn up, because its ig_keys may be another memory than the one that is active;
// ig_ended always is the same.
import * as admit from './admit.js';
import * as contract from './contract.js';
import * as modelInQuery from './model_in_query.js';
import * as policyOf from './policy.js';
import * as route from './route.js' with { load: 'rare' };

const BETWEEN_LOOKS_MS = 400;
const LOOKS = 450;   // three minutes

function mayGoOn(r) {
    const headers = r.headersIn;
    const service = headers['x-infergate-service'];
    const address = headers['x-infergate-asked'];   // of a WebSocket to a model, which may bring its key there
    const policy = admit.find({
        headersIn: headers,
        variables: { remote_addr: headers['x-infergate-address'], request_uri: address, ig_service: service },
    });
    if (policy.indexOf('\n') === -1) {
        return false;
    }
    if (service !== undefined) {
        return policyOf.flags(policy).indexOf(contract.POLICY_FLAG_CHOOSY) === -1 || policyOf.more().allowsService(policy, service);
    }
    if (headers['x-infergate-query'] === undefined) {   // responses.js
        return policyOf.more().isFree(policy);
    }
    const named = modelInQuery.of(address);
    const found = route.find(named);
    return policyOf.mayUse(policy, found === undefined ? named : found[contract.ROUTE_MODEL], named);
}

// 200: it may go on, ask again. 204: it is over. 403: it must end.
function look(r) {
    const id = r.headersIn['x-infergate-watched'];
    const ended = ngx.shared.ig_ended;
    const ours = String(settings.revision);
    let left = LOOKS;

    // Of what fails in a timer, nginx tells nobody: the WebSocket would stay, whatever becomes of its key.
    function guarded() {
        try {
            again();
        } catch (e) {
            r.error('whether a WebSocket may go on could not be told, and it is closed: ' + e);
            r.return(403);
        }
    }

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
            setTimeout(guarded, BETWEEN_LOOKS_MS);
        }
    }

    guarded();
}

export { look };
