// upload: an inference endpoint with a form (audio).
import * as form from './form.js';
import * as relay from './relay.js';

function upload(r) {
    relay.handle(r, form);
}

export { upload };
export { admit } from './admit.js';
export { kept as query } from './query.js';
