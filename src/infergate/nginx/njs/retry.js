// retry: a backend failed before it answered a byte; the request goes to another one.
import * as admit from './admit.js';
import * as attempts from './attempts.js';
import * as careful from './careful.js';
import * as contract from './contract.js';
import * as failure from './failure.js';
import * as firstByte from './first_byte.js';
import * as memory from './memory.js';
import * as params from './params.js' with { load: 'rare' };
import * as queue from './queue.js';
import * as refuse from './refuse.js';
import * as relay from './relay.js';
import * as route from './route.js';
import * as sameBackend from './same_backend.js';
import * as state from './state.js';

// Retries are counted against requests over this time, and so many are always allowed.
const WINDOW = 30000, FREE = 10;
// For the log's `why`.
const UNSENT = ' had closed the connection';
// Every other status is one of ours that a backend said (nginx/statuses.py).
const RETRIED = [429, 502, 503, 504];

// Whether the model's retry budget allows one more, so that retries do not multiply the load of
// backends that fail because of it. [start of the window, picks then, retries since]
function isWithinBudget(found, budget) {
    const zone = ngx.shared.ig_retries;
    const now = Date.now();
    const picks = state.slots().get('/' + found[contract.ROUTE_MODEL]) || 0;
    const text = zone.get(found[contract.ROUTE_MODEL]);
    let window = text === undefined ? undefined : JSON.parse(text);
    if (window === undefined || now - window[0] > WINDOW) {
        window = [now, picks, 0];
    }
    window[2]++;
    if (memory.perhaps(() => zone.set(found[contract.ROUTE_MODEL], JSON.stringify(window))) === undefined) {
        return false;   // what cannot be counted has no bound
    }
    return window[2] <= FREE + budget * (picks - window[1]);
}

// Whether the request may be sent out once more; undefined if so, else why not.
function obstacle(r, found, tried) {
    const retries = found[contract.ROUTE_OPTIONS].retries || [contract.RETRY_ATTEMPTS, contract.RETRY_BUDGET];
    const deadline = r.variables.ig_deadline;
    const count = attempts.countOf(tried);
    // See relay.js for the redirects that nginx allows.
    if (count >= retries[contract.RETRIES_OPTION_ATTEMPTS] || count + queue.waits(r) > 3) {
        return 'attempts';
    }
    if (deadline !== '' && Date.now() > Number(deadline)) {
        return 'deadline';
    }
    return isWithinBudget(found, retries[contract.RETRIES_OPTION_BUDGET]) ? undefined : 'budget';
}

// error_page of the relay: no byte has gone to the client yet.
function retry(r) {
    const variables = r.variables;
    if (statusOf(r) === 502 && wasUnsent(variables)) {
        refuse.unlessFull(r, () => unsent(r));
        return;
    }
    again(r, statusOf(r), attempts.last(variables.upstream_header_time) !== '-');
}

// How the last attempt failed.
function statusOf(r) {
    const status = Number(attempts.last(r.variables.upstream_status));
    return RETRIED.indexOf(status) === -1 ? 502 : status;
}

// Whether nothing was sent: the backend had closed the kept connection. Said once of each backend.
function wasUnsent(variables) {
    return attempts.last(variables.upstream_bytes_sent) === '0' && attempts.last(variables.upstream_connect_time) !== '-'
        && variables.ig_backend !== '' && variables.ig_why.indexOf(variables.ig_backend + UNSENT) === -1;
}

// That is no attempt. It has its slot; the long way takes another connection as long as there are kept ones.
function unsent(r) {
    if (!onceMore(r, UNSENT)) {
        goOn(r, 502, false);
    }
}

// To the same backend on the long way; the request keeps its slot. why: for the log. Whether it goes there.
function onceMore(r, why) {
    const name = r.variables.ig_backend;
    admit.remember(r);
    return sameBackend.goesOn(r, name, name + why + ';');
}

// status: how the backend failed; reached: whether it was it who answered that.
function again(r, status, reached) {
    refuse.unlessFull(r, () => goOn(r, status, reached));
}

function goOn(r, status, reached) {
    const variables = r.variables;
    const backend = variables.ig_backend;
    const wasShort = variables.ig_policy === '';   // the short way keeps it to itself
    admit.remember(r);
    if (backend === '') {   // nothing was decided yet: it was the internal server, whose worker was killed
        careful.serve(r);
        return;
    }
    // The short way knows the first address of a name, the long way tries them all.
    if (wasShort && status === 502 && !reached && settings.several.indexOf(' ' + backend + ' ') !== -1
        && onceMore(r, ' by its other addresses')) {
        return;
    }
    const tried = variables.ig_tried + backend + ',';
    state.drop(r);
    variables.ig_tried = tried;
    variables.ig_why = variables.ig_why + backend + ' failed ' + status + ';';
    queue.slotFreed();
    const found = route.find(variables.ig_model);
    if (status !== 504 || reached || !asksForMore(r, found, backend)) {
        failure.note(backend, status, reached, r.uri, variables.ig_model);
    }
    const stopped = found === undefined ? 'route' : obstacle(r, found, tried);
    if (stopped === undefined) {
        const format = careful.formatOf(r);
        const request = format.read(r);
        if (relay.send(r, found, request, format, tried) === undefined) {
            return;
        }
    } else {
        variables.ig_why = variables.ig_why + 'no retry: ' + stopped + ';';
    }
    giveUp(r, status, tried);
}

// Whether no first byte in time tells of the request and not of the backend: its own size needs longer.
function asksForMore(r, found, backend) {
    const read = careful.formatOf(r).read(r);
    if (found === undefined) {
        return false;
    }
    const said = found[contract.ROUTE_OPTIONS].params;
    const request = said ? params.of(r, read, said) : read;
    const all = found[contract.ROUTE_BACKENDS];
    return firstByte.explains(r, found, request, all.find((each) => each[contract.ROUTE_BACKEND_NAME] === backend) || all[0],
        Number(attempts.last(r.variables.upstream_response_time)));
}

function giveUp(r, status, tried) {
    const count = attempts.countOf(tried);
    const wait = Number(r.variables.upstream_http_retry_after);
    refuse.told(r, {
        status,
        code: status === 429 ? 'backend_rate_limited' : 'backend_failed',
        message: 'The model `' + r.variables.ig_model + '` did not answer: ' + count
            + (count === 1 ? ' backend' : ' backends') + ' tried, the last '
            + (status === 504 ? 'gave no answer in time.' : 'failed with ' + status + '.'),
        retry_after: wait > 0 ? Math.ceil(wait) : status === 429 ? 1 : undefined,
    });
}

export { retry, again, statusOf };
