// What is said of backends, in more than one room.

import {h} from '../dom.js';
import {number} from '../words.js';

// A word and a shape: neither is a colour alone.
export function stateOf(state) {
    return h('span', {class: `state ${state}`}, state);
}

export function inUse({in_flight, max_in_flight}) {
    return max_in_flight ? `${number(in_flight)} of ${number(max_in_flight)}` : number(in_flight);
}
