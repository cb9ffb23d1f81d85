// queue: requests wait for a slot while every backend of their model has max_in_flight requests.
//
// A request enters a ticket and is sent to @queue, which asks the internal server to wait for it
// (wait.js); so nginx sees at once when the client leaves, and the log phase (leave.js) takes the
// ticket out. Whoever waits hands out the slots that became free, one at a time.
//
// The order: priority class first; a class rises by one for each `ageing` that its oldest request has
// waited, so nobody starves. In a class by start-time fair queueing (Goyal et al., 1996): a key's
// requests are tagged 1 / weight apart, so keys that want more than there is share by their weights.
// The class ages and not the request, because that would favour those whose share is small.
//
// With balance: work, a request waits for the slot of the backend where it is answered soonest (wanted.js).
//
// ig_queue    't <id>' → ticket [model, class, tag, entered, ageing, uri, until, tried, wanted]; 'g <id>' → the
//             backend whose slot it was given, and when
// ig_waiting  '' → tickets; 'n <model>' → of one model; 'freed' → slots freed so far; 'v <model>' → the
//             tag served last; 'd <model>' → ms that an answer takes
// ig_tags     '<model>\n<key>' → the key's last tag; who did not ask for long is new
import * as contract from './contract.js';
import * as kinds from './kinds.js' with { load: 'rare' };
import * as memory from './memory.js';
import * as policy from './policy.js';
import * as route from './route.js';
import * as state from './state.js';
import * as usable from './usable.js';
import * as wanted from './wanted.js' with { load: 'rare' };

const MODEL = 0, CLASS = 1, TAG = 2, ENTERED = 3, AGEING = 4, URI = 5, UNTIL = 6, TRIED = 7, WANTED = 8;
// A ticket that is so much over its time has nobody who waits for it.
const LOST = 5000;
// Behind the id of a ticket, for each time that the request waited before.
const AGAIN = '+';

function isWaitedFor(model) {
    return ngx.shared.ig_waiting.get(contract.WAITING_MODEL + model) > 0;
}

// Whether one of the route's backends will have a slot: none that failed the request.
function couldServe(r, found, tried) {
    return serving(found, r.uri, tried).length !== 0;
}

// Whether a request of this path that failed at `tried` (each followed by ',') may go to the backend.
function suits(backend, uri, tried) {
    const only = kinds.only(uri);
    return (only === undefined || kinds.has(backend[contract.ROUTE_BACKEND_FLAGS], only))
        && (tried === '' || (',' + tried).indexOf(',' + backend[contract.ROUTE_BACKEND_NAME] + ',') === -1);
}

// How often the request waited already: see $ig_ticket.
function waits(r) {
    return r.variables.ig_ticket.split(AGAIN).length - (r.variables.ig_ticket === '' ? 1 : 0);
}

// The backends of a route whose slots are handed out.
function serving(found, uri, tried) {
    return usable.open(found[contract.ROUTE_MODEL])
        .among(found[contract.ROUTE_BACKENDS].filter((backend) => suits(backend, uri, tried)));
}

// How long a request that enters at this place is going to wait, in ms.
function expected(found, place) {
    const slots = found[contract.ROUTE_BACKENDS]
        .reduce((sum, backend) => sum + backend[contract.ROUTE_BACKEND_MAX_IN_FLIGHT], 0);
    return Math.round((ngx.shared.ig_waiting.get(contract.WAITING_TAKES + found[contract.ROUTE_MODEL]) || 1000)
        * place / slots);
}

// Returns undefined when the request waits, or the refusal. tried: backends that it is not for, each followed by ','.
function enter(r, found, request, tried) {
    const model = found[contract.ROUTE_MODEL];
    const options = found[contract.ROUTE_OPTIONS].queue;
    const variables = r.variables;
    const id = variables.ig_ticket === '' ? variables.ig_request_id : variables.ig_ticket + AGAIN;
    const now = Date.now();
    let place;
    try {
        place = enqueue(r, found, request, now, id, tried);
    } catch (e) {
        return memory.noRoom(e);
    }
    if (place > options[contract.QUEUE_OPTION_LENGTH]) {
        return { status: 429, code: 'queue_full', message: 'All backends of the model `' + model
            + '` are busy and ' + (place - 1) + ' requests wait already.',
            retry_after: Math.max(1, Math.ceil(expected(found, place) / 1000)) };
    }
    variables.ig_ticket = id;
    variables.ig_entered = String(now);
    variables.ig_patience = String(options[contract.QUEUE_OPTION_PATIENCE]);
    r.headersOut['x-infergate-queue-position'] = String(place);
    r.headersOut['x-infergate-queue-expected-ms'] = String(expected(found, place));
    r.internalRedirect('@queue');
    return undefined;
}

// The place in the queue, with a ticket; or one behind its end, or an exception, with nothing left.
function enqueue(r, found, request, now, id, tried) {
    const model = found[contract.ROUTE_MODEL];
    const options = found[contract.ROUTE_OPTIONS].queue;
    const waiting = ngx.shared.ig_waiting;
    const place = waiting.incr(contract.WAITING_MODEL + model, 1, 0);
    let all = 0;
    try {
        if (place <= options[contract.QUEUE_OPTION_LENGTH]) {
            all = waiting.incr('', 1, 0);
            const numbers = policy.more().numbers(r.variables.ig_policy);
            const tag = tagOf(model, r.variables.ig_key, numbers[contract.POLICY_NUMBER_WEIGHT] || 1);
            ngx.shared.ig_queue.set('t ' + id, JSON.stringify([
                model, numbers[contract.POLICY_NUMBER_PLACE], tag, now, options[contract.QUEUE_OPTION_AGEING],
                r.uri, now + options[contract.QUEUE_OPTION_PATIENCE], tried,
                wanted.of(r, found, request, serving(found, r.uri, tried)),
            ]));
            return place;
        }
    } catch (e) {
        waiting.incr(contract.WAITING_MODEL + model, -1, 0);
        if (all !== 0) {
            waiting.incr('', -1, 0);
        }
        throw e;
    }
    waiting.incr(contract.WAITING_MODEL + model, -1, 0);
    return place;
}

// See the head of this file. Without room for it, a key is served as one that asks for the first time.
function tagOf(model, key, weight) {
    const tags = ngx.shared.ig_tags;
    const last = model + '\n' + key;
    const tag = Math.max(ngx.shared.ig_waiting.get(contract.WAITING_SERVED + model) || 0, tags.get(last) || 0) + 1 / weight;
    memory.perhaps(() => tags.set(last, tag));
    return tag;
}

// A slot of one of the route's backends: of the one that it waits for, else of the least busy one; its name, or
// undefined. No worker has it yet. full: see wanted.js.
function freeSlot(found, ticket, now, full) {
    const backend = memory.perhaps(() => isChoosy(ticket, now)
        ? wanted.slot(found, ticket[WANTED], now - ticket[ENTERED], ticket[URI], full)
        : route.pick(undefined, found, {}, ticket[TRIED] || '', true, kinds.only(ticket[URI])));
    return backend === undefined ? undefined : backend[contract.ROUTE_BACKEND_NAME];
}

// Whether what is free may not be what it waits for.
function isChoosy(ticket, now) {
    return Boolean(ticket[WANTED]) && !wanted.isOver(now - ticket[ENTERED]);
}

function giveBack(backend) {
    ngx.shared.ig_inflight.incr(backend, -1, 0);
}

// Gives the free slots to those whose turn it is. One at a time does this.
function handOut() {
    const locks = ngx.shared.ig_locks;
    if (memory.perhaps(() => locks.add('queue', 1)) !== true) {
        return;
    }
    try {
        const now = Date.now();
        const zone = ngx.shared.ig_queue;
        const models = {};
        const ages = {};   // model → when the oldest request of each class came
        zone.items(20000).forEach((item) => {
            if (item[0].startsWith('t ')) {
                const ticket = JSON.parse(item[1]);
                const model = ticket[MODEL];
                const oldest = ages[model] = ages[model] || [now, now, now];
                oldest[ticket[CLASS]] = Math.min(oldest[ticket[CLASS]], ticket[ENTERED]);
                (models[model] = models[model] || []).push([0, ticket, item[0].slice(2)]);
            }
        });
        Object.keys(models).forEach((model) => {
            const found = JSON.parse(state.find(ngx.shared.ig_routes, model) || 'null');
            models[model].forEach((item) => {
                const ticket = item[1];
                const waited = now - ages[model][ticket[CLASS]];
                item[0] = Math.max(0, ticket[CLASS] - Math.floor(waited / ticket[AGEING]));
            });
            const tickets = models[model].sort((one, other) =>
                one[0] - other[0] || one[1][TAG] - other[1][TAG]);
            const full = {};
            for (let i = 0; found && i < tickets.length; i++) {
                const ticket = tickets[i][1];
                const id = tickets[i][2];
                const backend = freeSlot(found, ticket, now, full);
                if (backend === undefined) {
                    if (ticket[TRIED] || isChoosy(ticket, now) || kinds.only(ticket[URI]) !== undefined) {
                        // Others may have what is free.
                        continue;
                    }
                    break;
                }
                // The slot first: who finds no ticket looks for a slot, and leaves without one.
                if (memory.perhaps(() => zone.set('g ' + id, backend + '\n' + now)) === undefined) {
                    giveBack(backend);
                    break;
                }
                if (zone.pop('t ' + id) === undefined) {   // it left meanwhile
                    if (zone.pop('g ' + id) !== undefined) {
                        giveBack(backend);
                    }
                    continue;
                }
                left(model);
                memory.perhaps(() => ngx.shared.ig_waiting.set(contract.WAITING_SERVED + model, ticket[TAG]));
            }
        });
    } finally {
        locks.delete('queue');
    }
}

function left(model) {
    ngx.shared.ig_waiting.incr('', -1, 0);
    ngx.shared.ig_waiting.incr(contract.WAITING_MODEL + model, -1, 0);
}

// The request is over, or waits no longer: nothing of it stays.
function leave(id) {
    const zone = ngx.shared.ig_queue;
    const ticket = zone.pop('t ' + id);
    if (ticket !== undefined) {
        left(JSON.parse(ticket)[MODEL]);
        return;
    }
    const backend = granted(id);
    if (backend !== undefined) {
        giveBack(backend);
        slotFreed();
    }
}

// Who waits looks at once, and not only from time to time (wait.js).
function slotFreed() {
    const waiting = ngx.shared.ig_waiting;
    if (waiting.get('') > 0) {
        memory.perhaps(() => waiting.incr('freed', 1, 0));
    }
}

// The backend whose slot a ticket was given, once; undefined if it was given none.
function granted(id) {
    const grant = ngx.shared.ig_queue.pop('g ' + id);
    return grant === undefined ? undefined : grant.slice(0, grant.indexOf('\n'));
}

// What a worker that was killed left in the queue.
function sweep() {
    const now = Date.now();
    ngx.shared.ig_queue.items(20000).forEach((item) => {
        const until = item[0].startsWith('t ') ? JSON.parse(item[1])[UNTIL]
            : Number(item[1].slice(item[1].indexOf('\n') + 1));
        if (now > until + LOST) {
            leave(item[0].slice(2));
        }
    });
}

// The clock was set; by so many ms. One that left meanwhile is not put back.
function move(step) {
    const zone = ngx.shared.ig_queue;
    zone.items(20000).forEach((item) => {
        if (item[0].startsWith('t ')) {
            const ticket = JSON.parse(item[1]);
            ticket[ENTERED] += step;
            ticket[UNTIL] += step;
            zone.replace(item[0], JSON.stringify(ticket));
        } else {
            const end = item[1].indexOf('\n') + 1;
            zone.replace(item[0], item[1].slice(0, end) + (Number(item[1].slice(end)) + step));
        }
    });
}

export { isWaitedFor, couldServe, waits, enter, handOut, granted, leave, slotFreed, move, sweep };
