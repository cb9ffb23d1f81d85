// residents: which models are in the memory of a box that loads them on demand, besides what its last listing said.
import * as memory from './memory.js';

// Ollama keeps a model for five minutes (OLLAMA_KEEP_ALIVE).
const KEPT = 240000;

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

export { sentAt, warm };
