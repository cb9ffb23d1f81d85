// turns: the policy round_robin. Whose turn it is: each as often as its weight says, the next one where one is
// not up.
import * as busyness from './busyness.js';
import * as contract from './contract.js';
import * as state from './state.js';

// See balance.js.
function open(r, route, request, tried, those) {
    return busyness.before(tried === '' ? inTurn(route, those()) : undefined, r, route);
}

function inTurn(route, those) {
    const backends = route[contract.ROUTE_BACKENDS];
    const sequence = route[contract.ROUTE_OPTIONS] === 0 ? undefined : route[contract.ROUTE_OPTIONS].sequence;
    const length = sequence === undefined ? backends.length : sequence.length;
    const turn = state.slots().get('/' + route[contract.ROUTE_MODEL]);
    const up = those.map((backend) => backend[contract.ROUTE_BACKEND_NAME]);
    for (let i = 0; i < length; i++) {
        const at = (turn + i) % length;
        const name = backends[sequence === undefined ? at : sequence[at]][contract.ROUTE_BACKEND_NAME];
        if (up.indexOf(name) !== -1) {
            return name;
        }
    }
    return undefined;
}

export { open };
