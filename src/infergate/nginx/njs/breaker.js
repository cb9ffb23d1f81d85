// breaker: a backend that fails real requests is left alone for a while.
//
// closed → open, after failures in a row, a share of failures, or one answer that never came →
// half-open, when its cool-down is over → closed, after one good trial; or open again, twice as long.
// The trial is the control plane's (control/trials.py), so that no client pays for it. If that process
// is dead, a client's request is the trial, one cool-down later.
//
// An entry is there only for a backend that failed lately:
//   [failures in a row, start of the window, requests, failures, open until, cool-down, endpoint, model,
//   1 if it opened because no answer came, models that failed in the window, 1 if another model was answered,
//   models whose last request failed]
// The share is one of the models that failed: what others are answered does not dilute it.
// That no answer came may be the request's doing: it may have asked for more than its time. So a trial comes
// at once, and any answer closes it.
// A backend that answers another model is out for those whose last answer failed, and for them alone.
import * as at from './contract.js';
import * as memory from './memory.js';

// Of MODELS and FAILING, as text; more models than that are all.
const LONGEST = 200, NO_MODEL = '\n', ALL = '\n*\n';

const WINDOW = 30000, ENOUGH = 20;

function entryOf(backend) {
    const text = ngx.shared.ig_breakers.get(backend);
    return text === undefined ? undefined : JSON.parse(text);
}

function keep(backend, entry) {
    memory.perhaps(() => {
        ngx.shared.ig_inflight.set('', 1);   // see state.js
        ngx.shared.ig_breakers.set(backend, JSON.stringify(entry));
    });
}

// Whether a model's last request failed there, as far as is known.
function failedOf(entry, model) {
    return isIn(entry[at.BREAKER_FAILING], model);
}

// Entries of an earlier version have no such lists.
function isIn(models, model) {
    return models === undefined || models === ALL || models.indexOf('\n' + model + '\n') !== -1;
}

function withModel(models, model) {
    return isIn(models, model) ? models : models.length + model.length > LONGEST ? ALL : models + model + '\n';
}

// 'closed', 'open', 'waiting' (for the control plane's trial) or 'half-open'.
function stateOf(entry, now, model) {
    if (entry === undefined || entry[at.BREAKER_UNTIL] === 0
        || (entry[at.BREAKER_OTHERS] === 1 && model !== undefined && !failedOf(entry, model))) {
        return 'closed';
    }
    if (now < entry[at.BREAKER_UNTIL]) {
        return 'open';
    }
    return now < entry[at.BREAKER_UNTIL] + entry[at.BREAKER_COOLDOWN] ? 'waiting' : 'half-open';
}

// The entry as it is now: its window may be over, or it had none.
function ofWindow(entry, now) {
    if (entry === undefined) {
        return [0, now, 0, 0, 0, 0, '', '', 0, NO_MODEL, 0, NO_MODEL];
    }
    if (now - entry[at.BREAKER_SINCE] > WINDOW) {
        entry[at.BREAKER_SINCE] = now;
        entry[at.BREAKER_REQUESTS] = entry[at.BREAKER_FAILURES] = 0;
        if (entry[at.BREAKER_UNTIL] === 0) {
            entry[at.BREAKER_MODELS] = entry[at.BREAKER_FAILING] = NO_MODEL;
            entry[at.BREAKER_OTHERS] = 0;
        }
    }
    return entry;
}

// hung: it took the request and gave no answer. endpoint, model: what a trial may ask it.
function failed(backend, hung, endpoint, model) {
    const limits = settings.breaker;
    const now = Date.now();
    const entry = ofWindow(entryOf(backend), now);
    if (entry[at.BREAKER_OTHERS] === 1 && entry[at.BREAKER_MODEL] !== model && entry[at.BREAKER_UNTIL] === 0) {
        entry[at.BREAKER_IN_A_ROW] = 0;   // a row is one model's, where others are answered
    }
    entry[at.BREAKER_MODELS] = withModel(entry[at.BREAKER_MODELS], model);
    entry[at.BREAKER_FAILING] = withModel(entry[at.BREAKER_FAILING], model);
    entry[at.BREAKER_IN_A_ROW]++;
    entry[at.BREAKER_REQUESTS]++;
    entry[at.BREAKER_FAILURES]++;
    entry[at.BREAKER_ENDPOINT] = endpoint;
    entry[at.BREAKER_MODEL] = model;
    // What was on its way when it opened does not lengthen it.
    if (stateOf(entry, now) !== 'open'
        && (hung || entry[at.BREAKER_UNTIL] !== 0 || entry[at.BREAKER_IN_A_ROW] >= limits.failures
            || (entry[at.BREAKER_REQUESTS] >= ENOUGH && entry[at.BREAKER_FAILURES] / entry[at.BREAKER_REQUESTS] >= limits.error_rate))) {
        entry[at.BREAKER_COOLDOWN] = Math.min(entry[at.BREAKER_COOLDOWN] * 2 || limits.cooldown_ms, limits.max_cooldown_ms);
        entry[at.BREAKER_UNTIL] = now + entry[at.BREAKER_COOLDOWN];
        entry[at.BREAKER_SILENT] = hung && entry[at.BREAKER_IN_A_ROW] < limits.failures ? 1 : 0;
    }
    keep(backend, entry);
    ngx.shared.ig_locks.delete('trial ' + backend);
}

function succeeded(backend, model) {
    const entry = entryOf(backend);
    if (entry === undefined) {
        return;
    }
    const now = Date.now();
    const isOther = !failedOf(entry, model);
    if (entry[at.BREAKER_UNTIL] !== 0) {
        // One that was under way when it opened says nothing about now.
        if (entry[at.BREAKER_SILENT] === 1 || (now >= entry[at.BREAKER_UNTIL] && !isOther)) {
            ngx.shared.ig_breakers.delete(backend);
            ngx.shared.ig_locks.delete('trial ' + backend);
        } else if (isOther && entry[at.BREAKER_OTHERS] === 0) {
            entry[at.BREAKER_OTHERS] = 1;
            keep(backend, entry);
        }
        return;
    }
    if (now - entry[at.BREAKER_SINCE] > WINDOW) {
        ngx.shared.ig_breakers.delete(backend);
        return;
    }
    const isCounted = isIn(entry[at.BREAKER_MODELS], model);
    if (!isCounted && entry[at.BREAKER_OTHERS] === 1) {
        return;
    }
    if (entry[at.BREAKER_MODEL] === model) {
        entry[at.BREAKER_IN_A_ROW] = 0;
    } else {
        entry[at.BREAKER_OTHERS] = 1;
    }
    if (entry[at.BREAKER_FAILING] !== undefined && entry[at.BREAKER_FAILING] !== ALL) {
        entry[at.BREAKER_FAILING] = entry[at.BREAKER_FAILING].split('\n' + model + '\n').join('\n');
    }
    entry[at.BREAKER_REQUESTS] += isCounted ? 1 : 0;
    keep(backend, entry);
}

// The clock was set; by so many ms.
function move(step) {
    const zone = ngx.shared.ig_breakers;
    zone.items(100000).forEach((item) => {
        const entry = JSON.parse(item[1]);
        entry[at.BREAKER_SINCE] += step;
        entry[at.BREAKER_UNTIL] = entry[at.BREAKER_UNTIL] === 0 ? 0 : entry[at.BREAKER_UNTIL] + step;
        zone.replace(item[0], JSON.stringify(entry));
    });
}

// Whether a request may go there now. A half-open one takes a single request: the first to ask.
function lets(backend, entry, now, model) {
    const state = stateOf(entry, now, model);
    return state === 'closed'
        || (state === 'half-open' && memory.perhaps(() => ngx.shared.ig_locks.add('trial ' + backend, 1)) === true);
}

function open() {
    return { entryOf, stateOf, failed, succeeded, lets, move };
}

export { open };
