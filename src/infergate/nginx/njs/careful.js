// careful: an inference endpoint whose body was not plain.
import body from 'body.js';
import form from 'form.js';
import relay from 'relay.js';
import scan from 'scan.js';

// A large JSON body: searched where that is quicker than to parse it, and possible.
const large = {
    read: (r) => scan.read(r) || body.read(r),
    problem: (uri, request, how) => (request.parsed === undefined ? scan : body).problem(uri, request, how),
    has: (request, key) => (request.parsed === undefined ? scan : body).has(request, key),
    edited: (request, model, insert) =>
        (request.buffer !== undefined ? scan : body).edited(request, model, insert),
};

function formatOf(r) {
    return r.variables.ig_content_type === 'application/json' ? large : form;
}

function serve(r) {
    relay.handle(r, large);
}

export default { serve, formatOf };
