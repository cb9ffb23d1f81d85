// ask: the admin API, in the visitor's name. The token itself never comes here; a cookie stands for
// it, and whatever changes something carries the word that only this page was told.

let word = '';
let loggedOut = () => {};

export class Problem extends Error {
    constructor(status, document) {
        super(document.detail ?? `the gateway answered ${status}`);
        this.status = status;
        this.where = document.where;
        this.hint = document.hint;
    }
}

export const unreachable = () => new Problem(0, {detail: 'the gateway cannot be reached', hint: 'Is it up? `infergate status` at its machine says so.'});

export function whenLoggedOut(then) {
    loggedOut = then;
}

async function asked(path, options = {}) {
    let answer;
    try {
        answer = await fetch(path, {credentials: 'same-origin', cache: 'no-store', redirect: 'error', ...options});
    } catch (error) {
        if (error.name === 'AbortError') {
            throw error;
        }
        throw unreachable();
    }
    if (answer.ok) {
        return answer;
    }
    let document = {};
    try {
        document = await answer.json();
    } catch {
        // a proxy's own page: the status says it
    }
    const problem = new Problem(answer.status, document);
    if (answer.status === 401 && !options.door) {
        loggedOut();
    }
    throw problem;
}

function changing(method, body, more = {}) {
    const headers = {'X-Infergate-CSRF': word};
    if (body !== undefined) {
        headers['Content-Type'] = 'application/json';
    }
    return {method, headers, body: body === undefined ? undefined : JSON.stringify(body), ...more};
}

// An operation: get('/keys', {limit: 100}), post('/keys', {name})
export async function get(path, query = {}, signal = undefined) {
    const given = Object.entries(query).filter(([, value]) => value !== null && value !== undefined && value !== '');
    const text = new URLSearchParams(given).toString();
    return (await asked(`/page/v1${path}${text ? `?${text}` : ''}`, {signal})).json();
}

export async function send(method, path, body) {
    return (await asked(`/page/v1${path}`, changing(method, body))).json();
}

export const post = (path, body) => send('POST', path, body);
export const named = (name) => encodeURIComponent(name);

// All pages of a list, as far as `most` entries.
export async function every(path, most = 1000, query = {}) {
    const items = [];
    let after;
    do {
        const page = await get(path, {...query, limit: Math.min(1000, most), after});
        items.push(...page.items);
        after = page.next;
    } while (after !== null && items.length < most);
    return items;
}

// The playground's way to the gateway itself: the answer as it streams.
export function trial(wanted, signal) {
    return asked('/page/trial', changing('POST', wanted, {signal}));
}

export async function logIn(token) {
    const answer = await asked('/page/session', {
        method: 'POST', headers: {'Content-Type': 'application/json'}, body: JSON.stringify({token}), door: true,
    });
    return remember(await answer.json());
}

// Who is logged in; null if nobody is.
export async function visitor() {
    const found = await (await asked('/page/session')).json();
    return found.csrf === undefined ? null : remember(found);
}

export async function logOut() {
    try {
        await asked('/page/session', changing('DELETE', undefined, {door: true}));
    } finally {
        word = '';
    }
}

function remember(who) {
    word = who.csrf;
    return {name: who.name, role: who.role, token: who.token};
}
