// serve: an inference endpoint with a JSON body.
import admit from 'admit.js';
import plain from 'plain.js';
import relay from 'relay.js';

function serve(r) {
    relay.handle(r, plain);
}

export default { admit: admit.admit, serve };
