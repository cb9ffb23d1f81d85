// asker: whose files, batches and responses are asked for (docs/batches.md, docs/responses.md), told to the process
// that has them. Of the key it gets what stands for it here; nginx passes a file on as it comes, so nothing of this
// waits for a body.
import * as contract from './contract.js';
import * as credentials from './credentials.js';
import * as policyOf from './policy.js';

// What lists and kept responses are asked with (api/files/routes.py, api/batches/routes.py, api/responses/looks.py).
// Nothing else goes on: a key may be there.
const OF_LISTS = /^(?:after|limit|order|purpose|stream|starting_after)=/;

// The variable $ig_query_kept.
function query(r) {
    return r.variables.args.split('&').filter((each) => OF_LISTS.test(each)).join('&');
}

// The variable $ig_tenant: with whom the key shares what it has. Empty for none, which is refused there.
function tenant(r) {
    return policyOf.more().line(r.variables.ig_policy, contract.POLICY_LINE_TENANT) || '';
}

// The variable $ig_entry: what a batch, or a response in the background, goes on to ask in the name of.
function entry(r) {
    return credentials.entry(r);
}

export { query, tenant, entry };
export { admit } from './admit.js';
