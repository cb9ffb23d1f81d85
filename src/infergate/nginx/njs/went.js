// went: what is written down when a request goes to a backend with balance: work: what it owes (owed.js), the tokens
// that the backend will have been sent, and that its cache will have this prompt (blocks.js).
import * as blocks from './blocks.js' with { load: 'lazy' };
import * as contract from './contract.js';
import * as memory from './memory.js' with { load: 'rare' };
import * as state from './state.js';
import * as streamed from './streamed.js' with { load: 'lazy' };

// Of the engine's speed, at which tokens leak away that are pending for answers that are not streamed: their end
// tells nothing of when they were read. At all of it, engines that are behind would seem idle.
const LEAK = 0.5;
// An entry is not written anew for less of the capacity than this.
const FRESH = 1 / 16;

// request.work: work.js's, with what it found out of the backend. Always true.
function down(r, route, request, backend) {
    const policy = request.work;
    const name = backend[contract.ROUTE_BACKEND_NAME];
    if (policy.its[0] !== name) {
        policy.score(backend, 0, 0, false, true);
    }
    const its = policy.its;
    const uncached = its[1];
    let owed = policy.tokens, until = 0, ms = 0;
    try {
        const slots = state.slots();
        if (streamed.isStreamed(r.uri, request)) {
            owed += uncached * contract.OWED_PENDING;
        } else {
            const now = Date.now();
            const before = slots.get('<' + name) || 0;
            ms = (uncached / (its[2] * LEAK)) >>> 0;
            until = slots.incr('<' + name, before < now ? now - before + ms : ms, 0);
        }
        state.hold('+' + name, owed);
        r.variables.ig_owed = owed + ' ' + until + ' ' + ms + ' ' + name;
        const stands = slots.incr('%' + name, uncached, 0) + its[4];
        const depth = policy.hashes.length - 1;
        if (depth > 0 && (its[5] % blocks.DEPTHS !== depth || stands - (its[5] - depth) / blocks.DEPTHS > its[3] * FRESH)) {
            keep(policy.hashes, route[contract.ROUTE_MODEL], name, stands);
        }
    } catch (e) {
        memory.refuseOther(e);
    }
    return true;
}

function keep(hashes, model, name, stands) {
    const zone = state.shared.ig_blocks;
    const deepest = hashes.length - 1;
    for (let depth = 1; depth !== 0; depth = depth === deepest ? 0 : depth * 2 < deepest ? depth * 2 : deepest) {
        const key = hashes[depth] + ' ' + model;
        const text = zone.get(key);
        const at = text === undefined ? -1 : text.indexOf('\n' + name + '=');
        const others = at === -1 ? text || '\n' : text.slice(0, at) + text.slice(text.indexOf('\n', at + 1));
        zone.set(key, others + name + '=' + (stands * blocks.DEPTHS + depth) + '\n');
    }
}

export { LEAK, down };
