// residents: which models are in the memory of a box that loads them on demand, besides what its last listing said.
import * as contract from './contract.js';
import * as memory from './memory.js';
import * as state from './state.js';

// Ollama keeps a model for five minutes (OLLAMA_KEEP_ALIVE).
const KEPT = 240000;
// In ms: of a model that is loaded; of an answer, where one is waited for.
const LOADING = 20000, ANSWER = 10000;
// Of a box that loads models: so many answers at once.
const SLOTS = 4;

// So long a load may take where others are before it, in ms; and so many models that were sent to a box are kept in mind.
const UNDER_WAY = 60000, MODELS = 4;

// Since when this model was sent to this box, so that it is in its memory by now, or soon: a time in ms; undefined
// where nothing of the kind was sent there lately, or so long ago that those that came after may have driven it out.
function sentAt(model, name) {
    const sent = lately(name);
    const at = sent.findIndex((each) => each[1] === model);
    return at === -1 || (at !== 0 && Date.now() - sent[at][0] > UNDER_WAY) ? undefined : sent[at][0];
}

// [since in ms, model], of what was sent to this box, the last one first.
function lately(name) {
    const text = ngx.shared.ig_affinity.get('warm ' + name);
    return text === undefined || text[0] !== '[' ? [] : JSON.parse(text);   // an earlier version had a text there
}

// It is sent there now.
function warm(model, name) {
    const others = lately(name).filter((each) => each[1] !== model).slice(0, MODELS - 1);
    const since = sentAt(model, name) || Date.now();
    memory.perhaps(() => ngx.shared.ig_affinity.set('warm ' + name, JSON.stringify([[since, model]].concat(others)), KEPT));
}

// What it costs in ms: what is left of a load, or all of it, behind those of other models; who has to leave, and is
// loaded again some day; the wait for a slot. Never one without the other: slots alone drive models out for ever.
// evicts: how likely somebody has to (control/engines.py). A load under way is in no listing yet, and may fill the box.
// Load times are not learned: boxes whose models load fast would get more than they have room for (decision 034).
function cost(model, backend, busy, evicts) {
    const name = backend[contract.ROUTE_BACKEND_NAME];
    const wait = busy < SLOTS ? 0 : (busy - SLOTS + 1) / SLOTS * ANSWER;
    if (backend[contract.ROUTE_BACKEND_FLAGS].indexOf(contract.BACKEND_FLAG_COLD) === -1) {
        return wait;
    }
    const since = sentAt(model, name);
    if (since !== undefined) {
        return wait + left(since);
    }
    const loading = lately(name).filter((each) => Date.now() - each[0] < UNDER_WAY && isCold(each[1], name));
    const before = loading.reduce((sum, each) => sum + left(each[0]), 0);
    const leaves = loading.length === 0 ? evicts : Math.max(evicts, 0.5);
    return wait + LOADING + before + Math.round(leaves * (2 * LOADING + (busy === 0 ? 0 : ANSWER)));
}

// Of a load that began then; it takes a while until a listing has the model.
function left(since) {
    return Math.max(0, LOADING - (Date.now() - since));
}

// Whether the last listing does not have it.
function isCold(model, name) {
    const text = state.shared.ig_routes.get(model);
    const its = text === undefined ? undefined
        : JSON.parse(text)[contract.ROUTE_BACKENDS].find((each) => each[contract.ROUTE_BACKEND_NAME] === name);
    return its !== undefined && its[contract.ROUTE_BACKEND_FLAGS].indexOf(contract.BACKEND_FLAG_COLD) !== -1;
}

export { cost, sentAt, warm };
