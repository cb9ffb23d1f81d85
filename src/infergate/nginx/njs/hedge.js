// hedge: ask a second backend when the first is late; the first good answer wins. Runs in a server of
// its own, on a unix socket; hedging.js tells how a request comes here.
//
// ngx.fetch asks the locations of that server that lead to the backends, so that nginx does what it
// does for other requests: kept connections, TLS, timeouts, the backend's own key. The slot of the
// first is the request's, who gives it back; that of the second is ours, and a further one of the first
// while it is still to be stopped after it lost.
import * as contract from './contract.js';
import * as failure from './failure.js';
import * as firstByte from './first_byte.js';
import * as hedgeTimes from './hedge_times.js';
import * as kinds from './kinds.js';
import * as late from './late.js' with { load: 'rare' };
import * as queue from './queue.js';
import * as route from './route.js';
import * as state from './state.js';

// Between two looks whether somebody still waits for the answer, in ms: a fraction of the time so far.
// Once it was sent, that will not be for long.
const SHORTEST = 10, LONGEST = 250, FRACTION = 8, SOON = 2;
// What the next hop has of its own.
const NOT_ASKED = ['host', 'connection', 'content-length', 'authorization', 'x-infergate-hedge', 'x-infergate-attempt'];
const NOT_ANSWERED = ['connection', 'content-length', 'transfer-encoding', 'date', 'server', 'set-cookie',
    'x-infergate-hedge', 'x-infergate-reached', 'x-infergate-address'];

function open(r) {
    try {
        start(r);
    } catch (e) {
        broken(r, e);
    }
}

// A failure here must not fail the request: its backend is asked without us (hedge_retry.js).
function broken(r, e) {
    r.headersOut['x-infergate-hedge'] = JSON.stringify({ broken: String(e) });
    r.return(settings.undecided, 'broken');
}

function start(r) {
    const told = JSON.parse(decodeURIComponent(r.headersIn['x-infergate-hedge']));
    const began = Date.now();
    const race = {
        r, began, since: began, id: told[0], model: told[1],
        found: route.find(told[1]),
        times: hedgeTimes.open(told[1], settings.hedged[r.uri]),
        first: { name: told[2], location: told[3] },
        second: undefined,
        none: undefined,        // why there is no second
        isOver: false,          // it is decided what the answer is
        isAnswered: false,
        timer: undefined,       // the timers, as long as they run: njs throws where a fired one is cleared
        watch: undefined,
    };
    guarded(race, () => {
        race.times.count();
        ask(race, race.first);
        const ms = race.times.late();
        if (ms !== undefined && race.found !== undefined && race.found[contract.ROUTE_OPTIONS].hedge !== undefined) {
            race.timer = setTimeout(() => guarded(race, () => hedge(race)), ms);
        }
    });
    watchOver(race, SHORTEST);
}

function guarded(race, step) {
    try {
        step();
    } catch (e) {
        stop(race.timer);
        race.isOver = true;
        if (!race.isAnswered) {
            race.isAnswered = true;
            broken(race.r, e);
        }
    }
}

function ask(race, attempt) {
    const r = race.r;
    const args = r.variables.args;
    const watched = race.id + '/' + attempt.name;
    ngx.fetch('http://unix:' + settings.attempts_socket + ':/' + attempt.location + r.uri + (args ? '?' + args : ''),
        { method: 'POST', headers: headersFor(r, attempt, watched), body: r.requestBuffer })
        .then((response) => response.arrayBuffer().then((body) => ({ response: response, body: body })))
        .then((answer) => {
            const headers = answer.response.headers;
            attempt.reached = !headers.get('x-infergate-reached').endsWith('-');
            guarded(race, () => ended(race, attempt, answer.response.status, headers, answer.body));
        }, () => {   // it was late, broke off in the middle of its answer, or did not speak HTTP
            const wasLate = settings.watches === 1 && late.how(watched) === late.LATE;
            attempt.reached = !wasLate;
            guarded(race, () => ended(race, attempt, wasLate ? 504 : 502, undefined, ''));
        });
}

function headersFor(r, attempt, watched) {
    const headers = new Headers();
    r.rawHeadersIn.forEach((header) => {
        if (NOT_ASKED.indexOf(header[0].toLowerCase()) === -1) {
            try {
                headers.append(header[0], header[1]);
            } catch (e) {
                r.warn('the header ' + header[0] + ' is not passed on: ' + e);
            }
        }
    });
    headers.set('Host', 'attempt');
    headers.set('x-infergate-backend', attempt.name);
    if (settings.watches === 1) {
        headers.set('x-infergate-attempt', watched);
    }
    return headers;
}

// The first is late.
function hedge(race) {
    const r = race.r;
    const found = race.found;
    race.timer = undefined;
    const request = {};
    const backend = route.pick(r, found, request, unlike(race), true, kinds.only(r.uri), true);
    if (backend === undefined) {
        race.none = 'no other backend is free';
        return;
    }
    if (!race.times.mayHedge(found[contract.ROUTE_OPTIONS].hedge)) {
        giveBack({ name: backend[contract.ROUTE_BACKEND_NAME], held: true });
        race.none = 'extra_load is used up';
        return;
    }
    race.second = { name: backend[contract.ROUTE_BACKEND_NAME], location: firstByte.of(r, found, request, backend).location.slice(1),
        after: Date.now() - race.began, held: true };
    ask(race, race.second);
}

// The names of those that are not to be asked, each followed by ',': the first itself, and what is not for the same
// body or comes after it.
function unlike(race) {
    const backends = race.found[contract.ROUTE_BACKENDS];
    const asked = backends.find((each) => each[contract.ROUTE_BACKEND_NAME] === race.first.name);
    return backends.filter((each) => asked === undefined || each === asked
        || (each[contract.ROUTE_BACKEND_PRIORITY] || 0) > (asked[contract.ROUTE_BACKEND_PRIORITY] || 0)
        || each[contract.ROUTE_BACKEND_UPSTREAM_NAME] !== asked[contract.ROUTE_BACKEND_UPSTREAM_NAME]
        || (each[contract.ROUTE_BACKEND_FLAGS].indexOf(contract.BACKEND_FLAG_PRIORITY) === -1)
            !== (asked[contract.ROUTE_BACKEND_FLAGS].indexOf(contract.BACKEND_FLAG_PRIORITY) === -1))
        .map((each) => each[contract.ROUTE_BACKEND_NAME] + ',').join('');
}

function ended(race, attempt, status, headers, body) {
    const first = race.first;
    const second = race.second;
    attempt.status = status;
    giveBack(attempt);
    if (race.isOver) {   // it lost, before anybody stopped it
        stop(race.watch);
        return;
    }
    if (status < 500 && status !== 429) {
        if (attempt === second && first.status !== undefined) {
            failure.note(first.name, first.status, first.reached, race.r.uri, race.model);
        } else if (status < 300) {
            race.times.measured(Date.now() - race.began);
        }
        deliver(race, attempt, headers, body);
        return;
    }
    if (attempt === second) {
        failure.note(second.name, status, second.reached, race.r.uri, race.model);
    } else {
        attempt.headers = headers;
        attempt.body = body;
    }
    const other = attempt === first ? second : first;
    if (other === undefined || other.status !== undefined) {
        deliver(race, undefined, first.headers, first.body);
    }
}

function giveBack(attempt) {
    if (!attempt.held) {
        return;
    }
    attempt.held = false;
    state.hold(attempt.name, -1);
    queue.slotFreed();
}

// The answer of the winner; the first's failure where there is none.
function deliver(race, winner, headers, body) {
    race.isOver = true;
    stop(race.timer);
    stop(race.watch);
    if (race.first.status === undefined) {
        state.hold(race.first.name, 1);
        race.first.held = true;
    }
    if (isPending(race)) {
        race.since = Date.now();
        watchOver(race, SOON);
    }
    const headersOut = race.r.headersOut;
    if (headers !== undefined) {
        Object.keys(headers).forEach((name) => {   // njs's own forEach has its arguments turned round
            if (NOT_ANSWERED.indexOf(name.toLowerCase()) === -1) {
                headersOut[name] = headers.get(name);
            }
        });
    }
    headersOut['x-infergate-hedge'] = JSON.stringify(howItWent(race, winner));
    answer(race.r, (winner || race.first).status, bytesOf(body));
    race.isAnswered = true;
}

// For hedging.js.
function howItWent(race, winner) {
    const first = race.first;
    const second = race.second;
    return {
        won: winner === undefined ? '' : winner.name,
        ms: Date.now() - race.began,
        status: winner === first ? undefined : first.status,
        reached: first.reached,
        second: second && second.name,
        after: second && second.after,
        second_status: second && second !== winner ? second.status : undefined,
        none: race.none,
    };
}

function answer(r, status, bytes) {
    if (bytes.length !== 0) {
        r.return(status, bytes);
        return;
    }
    r.headersOut['Content-Length'] = '0';   // nginx would put a page of its own in its place
    r.status = status;
    r.sendHeader();
    r.finish();
}

function stop(timer) {
    if (timer !== undefined) {
        clearTimeout(timer);
    }
}

function isPending(race) {
    return race.first.status === undefined || (race.second !== undefined && race.second.status === undefined);
}

function watchOver(race, ms) {
    race.watch = setTimeout(() => look(race), ms);
}

// Whether anybody waits for what is under way: the client may have left, or has the other's answer.
function look(race) {
    if (ngx.shared.ig_hedging.get(race.id) !== undefined) {
        watchOver(race, Math.min(LONGEST, Math.max(race.isOver ? SOON : SHORTEST, (Date.now() - race.since) / FRACTION)));
        return;
    }
    stop(race.timer);
    giveBack(race.first);
    if (race.second !== undefined) {
        giveBack(race.second);
    }
    // A fetch cannot be cancelled; what ends with this request is. njs ends it for an exception,
    // at the next event, which the empty timer is.
    setTimeout(() => undefined, 0);
    throw new Error('nobody waits for this answer');
}

// njs 0.8.9 throws for an empty ArrayBuffer: "detached buffer".
function bytesOf(body) {
    try {
        return Buffer.from(body);
    } catch (e) {
        return '';
    }
}

export { open as race };
