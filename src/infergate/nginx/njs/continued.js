// continued: streams of a model that has `continuations` (docs/api.md). The API tier has them, and asks another
// backend for the rest of one that broke off. How it asks stands in a header that counts on its own listener alone
// (templates/site_api.conf.j2): contract/tier.py has its words.
import * as contract from './contract.js';
import * as lent from './lent.js';
import * as tier from './tier.js';

// How the tier asks; '' where it is no such request.
function said(r) {
    return r.variables.ig_inner === '1' ? r.headersIn[contract.CONTINUING_HEADER] || '' : '';
}

// Whether a request is the tier's from here on. found: the route of the model that was asked for.
function isHandedOver(r, found, request) {
    const times = found[contract.ROUTE_OPTIONS].continues;
    if (times === undefined || request.stream !== true || settings.gone_on_with[r.uri] === undefined || said(r) !== '') {
        return false;
    }
    r.variables.ig_continuations = String(times);
    tier.handOver(r, contract.HANDED_CONTINUE);
    return true;
}

// The backends of a route that such a request is not for, each followed by ','. isFirst: none was asked for it yet.
function avoided(r, found, isFirst) {
    const again = said(r);
    if (again.length < 2) {
        return '';
    }
    const failed = again.slice(1);
    const goesOn = again[0] === contract.CONTINUING_CONTINUES;
    if (isFirst) {
        r.variables.ig_why = r.variables.ig_why + contract.WHY_CONTINUES + failed.slice(0, -1) + ';';
        lent.note(r, failed);
    }
    if (goesOn) {
        r.variables.ig_fallback = '[]';   // another model would go on with another text
    }
    const able = names(found[contract.ROUTE_BACKENDS].filter((backend) => !goesOn || words(r, backend) !== undefined));
    const unable = names(found[contract.ROUTE_BACKENDS]).filter((name) => able.indexOf(name) === -1);
    const broke = able.filter((name) => (',' + failed).indexOf(',' + name + ',') !== -1);
    // One that broke off is better than none.
    return unable.concat(broke.length === able.length ? [] : broke).map((name) => name + ',').join('');
}

function names(backends) {
    return backends.map((backend) => backend[contract.ROUTE_BACKEND_NAME]);
}

// What a backend is to be told, so that it goes on with a text; undefined where its kind does not.
function words(r, backend) {
    const kinds = settings.gone_on_with[r.uri] || {};
    const flags = backend[contract.ROUTE_BACKEND_FLAGS];
    const letter = Object.keys(kinds).filter((each) => flags.indexOf(each) !== -1)[0];
    return letter === undefined ? undefined : kinds[letter];
}

// What is written into such a request before its other keys.
function insert(r, backend) {
    return said(r)[0] === contract.CONTINUING_CONTINUES ? words(r, backend) || '' : '';
}

export { isHandedOver, avoided, insert };
