// asked: an inference endpoint that only some engines have; its JSON body takes the long way.

export { admit } from './admit.js';
export { kept as query } from './query.js';
export { serve } from './careful.js';
