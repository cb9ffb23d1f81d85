// residents: which models are in the memory of a box that loads them on demand, besides what its last listing said.
import * as contract from './contract.js';
import * as memory from './memory.js';

// Ollama keeps a model for five minutes (OLLAMA_KEEP_ALIVE).
const KEPT = 240000;
// In ms: of a model that is loaded; of an answer, where one is waited for.
const LOADING = 20000, ANSWER = 10000;
// Of a box that loads models: so many answers at once.
const SLOTS = 4;

// Since when a model has been sent to this box, so that it is in its memory by now, or soon: a time in ms;
// undefined if it was not sent there lately.
function sentAt(model, name) {
    const since = ngx.shared.ig_affinity.get('warm ' + model + '\n' + name);
    return since === undefined ? undefined : Number(since);
}

// It is sent there now.
function warm(model, name) {
    const since = sentAt(model, name) || Date.now();
    memory.perhaps(() => ngx.shared.ig_affinity.set('warm ' + model + '\n' + name, String(since), KEPT));
}

// What it costs in ms: what is left of a load, or all of it; who has to leave, and is loaded again some day; the
// wait for a slot. Never one without the other: slots alone drive models out for ever. evicts: whether somebody has to.
function cost(model, backend, busy, evicts) {
    const wait = busy < SLOTS ? 0 : (busy - SLOTS + 1) / SLOTS * ANSWER;
    if (backend[contract.ROUTE_BACKEND_FLAGS].indexOf(contract.BACKEND_FLAG_COLD) === -1) {
        return wait;
    }
    const since = sentAt(model, backend[contract.ROUTE_BACKEND_NAME]);
    if (since !== undefined) {
        return wait + Math.max(0, LOADING - (Date.now() - since));
    }
    return wait + LOADING + (evicts === 0 ? 0 : 2 * LOADING + (busy === 0 ? 0 : ANSWER));
}

export { cost, sentAt, warm };
