// upload: an inference endpoint with a form (audio).
import admit from 'admit.js';
import form from 'form.js';
import query from 'query.js';
import relay from 'relay.js';

function upload(r) {
    relay.handle(r, form);
}

export default { admit: admit.admit, query: query.kept, upload };
