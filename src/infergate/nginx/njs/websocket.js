// websocket: the WebSocket of a service with keys. Its end is told by its body filter and the variable $ig_over.
export { ended, over } from './websocket_end.js';
export { admit, refuse, unclear } from './service.js';
