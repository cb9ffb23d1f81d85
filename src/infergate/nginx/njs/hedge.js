// hedge: ask a second backend when the first is late; the first good answer wins. Runs in a server of
// its own, on a unix socket; hedging.js tells how a request comes here.
//
// ngx.fetch asks the locations of that server that lead to the backends, so that nginx does what it
// does for other requests: kept connections, TLS, timeouts, the backend's own key. The slot of the
// first is the request's, who gives it back; that of the second is ours, and a further one of the first
// while it is still to be stopped after it lost.
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

function race(r) {
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
    const id = told[0];
    const model = told[1];
    const found = route.find(model);
    const began = Date.now();
    let since = began;
    const times = hedgeTimes.open(model, settings.hedged[r.uri]);
    const first = { name: told[2], location: told[3] };
    let second;
    let none;               // why there is no second
    let over = false;       // it is decided what the answer is
    let answered = false;
    let timer;              // the timers, as long as they run: njs throws where a fired one is cleared
    let watch;

    guarded(() => {
        times.count();
        ask(first);
        const ms = times.late();
        if (ms !== undefined && found !== undefined && found[route.OPTIONS].hedge !== undefined) {
            timer = setTimeout(() => guarded(hedge), ms);
        }
    });
    watch = setTimeout(look, SHORTEST);

    function guarded(step) {
        try {
            step();
        } catch (e) {
            stop(timer);
            over = true;
            if (!answered) {
                answered = true;
                broken(r, e);
            }
        }
    }

    function ask(attempt) {
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
            headers.set('x-infergate-attempt', id + '/' + attempt.name);
        }
        const args = r.variables.args;
        ngx.fetch('http://unix:' + settings.attempts_socket + ':/' + attempt.location + r.uri + (args ? '?' + args : ''),
            { method: 'POST', headers, body: r.requestBuffer })
            .then((response) => response.arrayBuffer().then((body) => ({ response: response, body: body })))
            .then((answer) => {
                const headers = answer.response.headers;
                attempt.reached = !headers.get('x-infergate-reached').endsWith('-');
                guarded(() => ended(attempt, answer.response.status, headers, answer.body));
            }, () => {   // it was late, broke off in the middle of its answer, or did not speak HTTP
                const wasLate = settings.watches === 1 && late.how(id + '/' + attempt.name) === late.LATE;
                attempt.reached = !wasLate;
                guarded(() => ended(attempt, wasLate ? 504 : 502, undefined, ''));
            });
    }

    // The first is late.
    function hedge() {
        timer = undefined;
        const request = {};
        const backend = route.pick(r, found, request, unlike(), true, kinds.only(r.uri), true);
        if (backend === undefined) {
            none = 'no other backend is free';
            return;
        }
        if (!times.mayHedge(found[route.OPTIONS].hedge)) {
            giveBack({ name: backend[route.NAME], held: true });
            none = 'extra_load is used up';
            return;
        }
        second = { name: backend[route.NAME], location: firstByte.of(r, found, request, backend).location.slice(1),
            after: Date.now() - began, held: true };
        ask(second);
    }

    // The names of those that are not to be asked, each followed by ',': the first itself, and what is not for the same
    // body or comes after it.
    function unlike() {
        const backends = found[route.BACKENDS];
        const asked = backends.find((each) => each[route.NAME] === first.name);
        return backends.filter((each) => asked === undefined || each === asked
            || (each[route.PRIORITY] || 0) > (asked[route.PRIORITY] || 0)
            || each[route.UPSTREAM_NAME] !== asked[route.UPSTREAM_NAME]
            || (each[route.FLAGS].indexOf('p') === -1) !== (asked[route.FLAGS].indexOf('p') === -1))
            .map((each) => each[route.NAME] + ',').join('');
    }

    function ended(attempt, status, headers, body) {
        const other = attempt === first ? second : first;
        attempt.status = status;
        giveBack(attempt);
        if (over) {   // it lost, before anybody stopped it
            stop(watch);
            return;
        }
        if (status < 500 && status !== 429) {
            if (attempt === second && first.status !== undefined) {
                failure.note(first.name, first.status, first.reached, r.uri, model);
            } else if (status < 300) {
                times.measured(Date.now() - began);
            }
            deliver(attempt, headers, body);
            return;
        }
        if (attempt === second) {
            failure.note(second.name, status, second.reached, r.uri, model);
        } else {
            attempt.headers = headers;
            attempt.body = body;
        }
        if (other === undefined || other.status !== undefined) {
            deliver(undefined, first.headers, first.body);
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
    function deliver(winner, headers, body) {
        over = true;
        stop(timer);
        stop(watch);
        if (first.status === undefined) {
            state.hold(first.name, 1);
            first.held = true;
        }
        if (isPending()) {
            since = Date.now();
            watch = setTimeout(look, SOON);
        }
        const headersOut = r.headersOut;
        if (headers !== undefined) {
            Object.keys(headers).forEach((name) => {   // njs's own forEach has its arguments turned round
                if (NOT_ANSWERED.indexOf(name.toLowerCase()) === -1) {
                    headersOut[name] = headers.get(name);
                }
            });
        }
        headersOut['x-infergate-hedge'] = JSON.stringify({
            won: winner === undefined ? '' : winner.name,
            ms: Date.now() - began,
            status: winner === first ? undefined : first.status,
            reached: first.reached,
            second: second && second.name,
            after: second && second.after,
            second_status: second && second !== winner ? second.status : undefined,
            none,
        });
        const status = (winner || first).status;
        const bytes = bytesOf(body);
        if (bytes.length !== 0) {
            r.return(status, bytes);
            answered = true;
            return;
        }
        headersOut['Content-Length'] = '0';   // nginx would put a page of its own in its place
        r.status = status;
        r.sendHeader();
        r.finish();
        answered = true;
    }

    function stop(timer) {
        if (timer !== undefined) {
            clearTimeout(timer);
        }
    }

    function isPending() {
        return first.status === undefined || (second !== undefined && second.status === undefined);
    }

    // Whether anybody waits for what is under way: the client may have left, or has the other's answer.
    function look() {
        if (ngx.shared.ig_hedging.get(id) !== undefined) {
            watch = setTimeout(look,
                Math.min(LONGEST, Math.max(over ? SOON : SHORTEST, (Date.now() - since) / FRACTION)));
            return;
        }
        stop(timer);
        giveBack(first);
        if (second !== undefined) {
            giveBack(second);
        }
        // A fetch cannot be cancelled; what ends with this request is. njs ends it for an exception,
        // at the next event, which the empty timer is.
        setTimeout(() => undefined, 0);
        throw new Error('nobody waits for this answer');
    }
}

// njs 0.8.9 throws for an empty ArrayBuffer: "detached buffer".
function bytesOf(body) {
    try {
        return Buffer.from(body);
    } catch (e) {
        return '';
    }
}

export { race };
