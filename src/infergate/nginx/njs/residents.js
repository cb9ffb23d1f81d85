// residents: which models are in the memory of a box that loads them on demand, besides what its last listing said.
import * as memory from './memory.js';

// Ollama keeps a model for five minutes (OLLAMA_KEEP_ALIVE).
const KEPT = 240000;

// Whether a model was sent to this box lately, so that it is in memory by now.
function isWarm(model, name) {
    return ngx.shared.ig_affinity.get('warm ' + model + '\n' + name) !== undefined;
}

function warm(model, name) {
    memory.perhaps(() => ngx.shared.ig_affinity.set('warm ' + model + '\n' + name, '1', KEPT));
}

export { isWarm, warm };
