// careful: an inference endpoint whose JSON body was not plain.
import body from 'body.js';
import relay from 'relay.js';

function serve(r) {
    relay.handle(r, body);
}

export default { serve };
