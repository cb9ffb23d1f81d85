// turns: the policy round_robin. Whose turn it is: each as often as its weight says, the next one where one is
// not up.
import * as busyness from './busyness.js';
import * as state from './state.js';

const NAME = 0;
const MODEL = 0, BACKENDS = 2, OPTIONS = 3;

// See balance.js.
function open(r, route, request, tried, those) {
    return busyness.before(tried === '' ? inTurn(route, those()) : undefined, r, route);
}

function inTurn(route, those) {
    const backends = route[BACKENDS];
    const sequence = route[OPTIONS] === 0 ? undefined : route[OPTIONS].sequence;
    const length = sequence === undefined ? backends.length : sequence.length;
    const turn = state.slots().get('/' + route[MODEL]);
    const up = those.map((backend) => backend[NAME]);
    for (let i = 0; i < length; i++) {
        const at = (turn + i) % length;
        const name = backends[sequence === undefined ? at : sequence[at]][NAME];
        if (up.indexOf(name) !== -1) {
            return name;
        }
    }
    return undefined;
}

export { open };
