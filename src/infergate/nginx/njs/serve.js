// serve: an inference endpoint with a JSON body.
import admit from 'admit.js';
import body from 'body.js';
import relay from 'relay.js';

function serve(r) {
    relay.handle(r, body);
}

export default { admit: admit.admit, serve };
