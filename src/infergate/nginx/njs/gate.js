// The names that nginx's configuration calls, and nothing else: what each does is in its own file.
//
//   admit   who is asking, and may they?            rewrite phase, before the body is read
//   serve   which model, which backend?             content phase, with the body
//   retry   that backend failed: which one next?    error_page of the relay
//   refuse  an error, in the caller's dialect
//   settle  the answer is over: free the slot       log phase
import admit from 'admit.js';
import catalog from 'catalog.js';
import refuse from 'refuse.js';
import relay from 'relay.js';
import settle from 'settle.js';
import state from 'state.js';

export default {
    admit: admit.admit,
    catalog: catalog.list,
    catalog_model: catalog.one,
    serve: relay.serve,
    serve_form: relay.serveForm,
    manage: relay.manage,
    retry: relay.retry,
    refused: refuse.refused,
    failed: refuse.failed,
    settle: settle.settle,
    sweep: settle.sweep,
    state: state.handle,
};
