// gateway: Infergate's own routing, njs/ as it is, under Node and without nginx: gateway.py asks it where a request
// goes, by a clock that is told. Each question is a length (4 bytes), so much JSON, and the body that it speaks of.
import { readSync, writeSync } from 'fs';

let now = 0;
Date.now = () => now;

// The part of nginx' ngx.shared that is used.
class Zone extends Map {
    get(key) {
        return super.get(key);
    }

    add(key, value) {
        return !this.has(key) && Boolean(this.set(key, value));
    }

    replace(key, value) {
        return this.has(key) && Boolean(this.set(key, value));
    }

    incr(key, by, from) {
        if (!this.has(key) && from === undefined) {
            throw new Error('not found');
        }
        const value = (this.has(key) ? this.get(key) : from) + by;
        this.set(key, value);
        return value;
    }

    pop(key) {
        const value = this.get(key);
        this.delete(key);
        return value;
    }

    items() {
        return Array.from(this.entries());
    }
}

const shared = new Proxy({}, { get: (zones, name) => zones[name] || (zones[name] = new Zone()) });
globalThis.ngx = { shared, log: () => undefined, ERR: 3, WARN: 4 };
globalThis.settings = JSON.parse(process.argv[3]);

const njs = process.argv[2];
const load = (name) => import(njs + '/' + name + '.js');
const { body, contract, failure, owed, plain, residents, route, scan, state, went, work } = Object.fromEntries(await Promise.all(
    ['body', 'contract', 'failure', 'owed', 'plain', 'residents', 'route', 'scan', 'state', 'went', 'work']
        .map(async (name) => [name, await load(name)])));

const underWay = {};   // number → r

function requestOf(content) {
    const variables = { ig_owed: '', ig_backend: '', ig_fallback: '', ig_why: '', http_content_encoding: undefined };
    const r = { uri: '/v1/chat/completions', variables, headersOut: {}, requestBuffer: content };
    Object.defineProperty(r, 'requestText', { get: () => content.toString() });
    return r;
}

// As quick.js and relay.js do it.
function send(asked, content) {
    const r = requestOf(content);
    const request = plain.read(r, content.length) || scan.read(r) || body.read(r);
    const found = route.find(request.model);
    const backend = route.pick(r, found, request, asked.tried, false, undefined);
    if (backend === undefined) {
        return { backend: null };
    }
    const name = r.variables.ig_backend = backend[contract.ROUTE_BACKEND_NAME];
    if (found[contract.ROUTE_BALANCE] === 'work') {
        if (request.work === undefined) {
            work.open(r, found, request);
        }
        if (request.work !== undefined) {
            went.down(r, found, request, backend);
        }
    }
    if (backend[contract.ROUTE_BACKEND_FLAGS].indexOf(contract.BACKEND_FLAG_OLLAMA) !== -1) {
        residents.warm(found[contract.ROUTE_MODEL], name);
    }
    underWay[asked.number] = r;
    return { backend: name, why: state.why };
}

const answers = {
    send,
    first: (asked) => owed.settle(underWay[asked.number], state.hold, true),
    ended: (asked) => {
        state.drop(underWay[asked.number]);
        delete underWay[asked.number];
    },
    failed: (asked) => failure.note(asked.backend, asked.status, false, '/v1/chat/completions', asked.model),
    tell: (asked) => asked.entries.forEach((each) =>
        each[2] === null ? shared[each[0]].delete(each[1]) : shared[each[0]].set(each[1], each[2])),
    zone: (asked) => Object.fromEntries(shared[asked.name]),
};

function read(length) {
    const buffer = Buffer.alloc(length);
    for (let at = 0; at < length;) {
        const got = readSync(0, buffer, at, length - at, null);
        if (got === 0) {
            process.exit(0);
        }
        at += got;
    }
    return buffer;
}

for (;;) {
    const asked = JSON.parse(read(read(4).readUInt32BE()));
    now = asked.now;
    const answer = answers[asked.what](asked, read(asked.bytes));
    writeSync(1, JSON.stringify(answer === undefined ? {} : answer) + '\n');
}
