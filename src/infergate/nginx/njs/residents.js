// residents: which models are in the memory of a box that loads them on demand, besides what its last listing said.
import * as contract from './contract.js';
import * as memory from './memory.js';

// Ollama keeps a model for five minutes (OLLAMA_KEEP_ALIVE).
const KEPT = 240000;
// In ms: of a model that is loaded; of an answer, where one is waited for.
const LOADING = 20000, ANSWER = 10000;
// Of a box that loads models: so many answers at once.
const SLOTS = 4;

// Since when this is the model that was sent to this box last, so that it is in its memory by now, or soon: a time in
// ms; undefined if it is another one, which may have driven it out, or if nothing was sent there lately.
function sentAt(model, name) {
    const last = lastAt(name);
    const at = last === undefined ? -1 : last.indexOf(' ');
    return at === -1 || last.slice(at + 1) !== model ? undefined : Number(last.slice(0, at));
}

// '<since in ms> <model>', of what was sent to this box last.
function lastAt(name) {
    return ngx.shared.ig_affinity.get('warm ' + name);
}

// It is sent there now.
function warm(model, name) {
    const since = sentAt(model, name) || Date.now();
    memory.perhaps(() => ngx.shared.ig_affinity.set('warm ' + name, since + ' ' + model, KEPT));
}

// What it costs in ms: what is left of a load, or all of it; who has to leave, and is loaded again some day; the
// wait for a slot. Never one without the other: slots alone drive models out for ever. evicts: whether somebody has to,
// as the last listing had it; a model that was sent there since is not in it.
function cost(model, backend, busy, evicts) {
    const wait = busy < SLOTS ? 0 : (busy - SLOTS + 1) / SLOTS * ANSWER;
    if (backend[contract.ROUTE_BACKEND_FLAGS].indexOf(contract.BACKEND_FLAG_COLD) === -1) {
        return wait;
    }
    const since = sentAt(model, backend[contract.ROUTE_BACKEND_NAME]);
    if (since !== undefined) {
        return wait + Math.max(0, LOADING - (Date.now() - since));
    }
    const isEmpty = evicts === 0 && lastAt(backend[contract.ROUTE_BACKEND_NAME]) === undefined;
    return wait + LOADING + (isEmpty ? 0 : 2 * LOADING + (busy === 0 ? 0 : ANSWER));
}

export { cost, sentAt, warm };
