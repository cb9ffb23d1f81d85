// live: one stream of news, of which all rooms hear. Kept is what is the newest, and nothing else:
// a page that is open for a day holds what it held in its first minute.

import {get} from './ask.js';

const SILENT_S = 20; // news come every two seconds; a network that went away says nothing
const heard = new Set();
export const now = {live: null, status: null, at: 0, connected: false, problem: ''};

let stream = null;
let looking = null;

export function open() {
    close();
    stream = new EventSource('/page/live');
    stream.addEventListener('live', (event) => take('live', JSON.parse(event.data)));
    stream.addEventListener('status', (event) => take('status', JSON.parse(event.data)));
    stream.addEventListener('open', () => {
        now.connected = true;
        tell('connection');
    });
    stream.addEventListener('error', lost);
    // What is there now, without waiting for the next news.
    for (const [kind, path] of [['live', '/live'], ['status', '/status']]) {
        get(path).then((found) => take(kind, found), (problem) => {
            now.problem = problem.message;
            tell('connection');
        });
    }
}

function lost() {
    if (now.connected) {
        now.connected = false;
        tell('connection');
    }
    if (stream !== null && stream.readyState === EventSource.CLOSED && looking === null) {
        looking = setTimeout(() => {
            looking = null;
            if (stream !== null) {
                open();
            }
        }, 5000);
    }
}

export function close() {
    clearTimeout(looking);
    looking = null;
    if (stream !== null) {
        stream.close();
        stream = null;
    }
    now.connected = false;
}

function take(kind, found) {
    now[kind] = found;
    now.at = Date.now() / 1000;
    now.connected = stream !== null;
    now.problem = '';
    tell(kind);
}

function tell(kind) {
    for (const each of [...heard]) {
        each(kind);
    }
}

setInterval(() => {
    if (now.connected && Date.now() / 1000 - now.at > SILENT_S) {
        now.connected = false;
        tell('connection');
    }
}, 2000);

// Have `then` called with 'live', 'status' or 'connection', from now on; returns how to end that.
export function listen(then) {
    heard.add(then);
    return () => heard.delete(then);
}
