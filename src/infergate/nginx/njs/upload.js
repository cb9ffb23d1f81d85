// upload: an inference endpoint with a form (audio).
import admit from 'admit.js';
import form from 'form.js';
import relay from 'relay.js';

function upload(r) {
    r.variables.ig_content_type = r.headersIn['Content-Type'] || '';
    relay.handle(r, form);
}

export default { admit: admit.admit, upload };
