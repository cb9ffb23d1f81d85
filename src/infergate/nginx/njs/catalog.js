// catalog: the model lists. The control plane keeps each list as [{ names, entry, unlisted, until }], names
// being what a key's policy may call the entry, until when it is there, in ms; a caller sees the entries its key may use.
import * as contract from './contract.js';
import * as policy from './policy.js';
import * as refuse from './refuse.js';
import * as state from './state.js';

function entries(name) {
    const list = state.find(ngx.shared.ig_catalog, name);
    return list === undefined ? [] : JSON.parse(list);
}

// isList: without what is served and not listed.
function allowed(r, name, isList) {
    const keyPolicy = r.variables.ig_policy;
    return entries(name)
        .filter((item) => (!isList || item.unlisted === undefined) && !(item.until <= Date.now()) && item.names.some((each) => policy.allowsModel(keyPolicy, each)))
        .map((item) => item.entry);
}

function answer(r, value) {
    r.headersOut['Content-Type'] = 'application/json';
    r.return(200, JSON.stringify(value));
}

function isRead(r) {
    if (r.method === 'GET' || r.method === 'HEAD') {
        return true;
    }
    refuse.told(r, { status: 405, code: 'method_not_allowed', allow: 'GET, HEAD',
        message: 'This endpoint takes GET, not ' + r.method + '.' });
    return false;
}

function list(r) {
    if (!isRead(r)) {
        return;
    }
    switch (r.uri) {
    case '/version':
        answer(r, entries('engines')[0] || {});
        break;
    case '/v1/models':
        answer(r, { object: 'list', data: allowed(r, 'models', true) });
        break;
    case '/api/tags':
        answer(r, { models: allowed(r, 'tags') });
        break;
    case '/api/ps':
        answer(r, { models: allowed(r, 'ps') });
        break;
    default:
        answer(r, { version: entries('version')[0] || '0.0.0' });
    }
}

// GET /v1/models/{id}; ids may contain slashes (BAAI/bge-m3).
function one(r) {
    if (!isRead(r)) {
        return;   // DELETE above all: nothing was
    }
    const id = r.uri.slice('/v1/models/'.length).replace(/\/+$/, '');
    const models = allowed(r, 'models');
    const found = models.filter((entry) => entry.id === id)[0] || meant(models, id);
    if (!found) {
        refuse.told(r, unknown(r, id));
        return;
    }
    answer(r, found);
}

// The refusal of a name without a route, or one that is not for this key: the two must not be told apart. A backend that
// has not told its models since it was configured may have any, so that is no reason to give it up.
function unknown(r, name) {
    return entries('untold').length !== 0 && policy.allowsModel(r.variables.ig_policy, name)
        ? { status: 503, code: 'no_backend',
            message: 'The model `' + name + '` is not known yet: a backend that may have it has not told its models.' }
        : { status: 404, code: 'model_not_found', param: 'model',
            message: 'The model `' + name + '` does not exist or you do not have access to it.' };
}

// Whether a route is for a name that is refused by now.
function isGone(found) {
    const gone = found[contract.ROUTE_OPTIONS].gone;   // of 0 there is none
    return gone !== undefined && gone[contract.GONE_OPTION_FROM] <= Date.now();
}

// Of another name by which a request reaches it: Ollama's, in any case or without a tag.
function meant(models, id) {
    const routes = ngx.shared.ig_routes;
    const text = state.find(routes, id) || state.find(routes, '\n' + id.toLowerCase());
    const found = text === undefined ? undefined : JSON.parse(text);
    return found === undefined || isGone(found) ? undefined
        : models.filter((entry) => entry.id === found[contract.ROUTE_MODEL])[0];
}

// [backend, the end of the names of locations that lead there] of those that keep answers for this key's models.
function keepers(r) {
    if (policy.flags(r.variables.ig_policy).indexOf(contract.POLICY_FLAG_GUARDED) !== -1) {
        return [];   // nobody looks through what an engine kept
    }
    const found = {};
    return allowed(r, 'keepers').filter((each) => {
        const isNew = found[each[0]] === undefined;
        found[each[0]] = true;
        return isNew;
    });
}

// The same of each Ollama.
function boxes() {
    return entries('boxes');
}

// The route of a WebSocket on /v1/responses; undefined where no backend has it.
function overWebSockets() {
    const route = entries('responses');
    return route.length === 0 ? undefined : route;
}

export { list, one, unknown, isGone, keepers, boxes, overWebSockets };
export { admit } from './admit.js';
