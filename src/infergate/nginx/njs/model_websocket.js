// model_websocket: what is left to do when the WebSocket to a model is over.
import * as answer from './answer.js';
import * as websocketEnd from './websocket_end.js';

// The variable $ig_settle.
function settle(r) {
    websocketEnd.over(r);
    return answer.settle(r);
}

export { settle };
export { refuse } from './answer.js';
export { ended } from './websocket_end.js';
