// line: the access log's line of a request that was sent out more than once, or whose one attempt has
// numbers missing. nginx writes all others by itself (src/infergate/nginx/access_line.py has the fields).
//
// nginx has lists of status and times: ", " stands between the tries that it made by itself (a kept
// connection that was closed, another address of a name), " : " between what njs sent out.
const GROUP = ' : ', TRY = ', ';
// By the kind of a field.
const UNKNOWN = { text: '""', attempts: '[]', tokens: 'null', plain: '0' };

function line(r) {
    const parts = settings.line.filter((field) => field[2] !== 'some' || r.variables[field[1]]).map((field) => '"' + field[0] + '":' + known(r, field));
    const service = r.variables.ig_service;
    return '{' + parts.join(',') + (service ? ',"service":' + JSON.stringify(service) : '') + '}';
}

// A request that no line tells of would not be counted: what cannot be found out is not in it.
function known(r, field) {
    try {
        return value(r, field);
    } catch (e) {
        r.error('no ' + field[0] + ' for the log: ' + e);
        return UNKNOWN[field[2]];
    }
}

// field: [name, nginx's variable, kind]
function value(r, field) {
    switch (field[2]) {
    case 'text':
    case 'some':
        return JSON.stringify(r.variables[field[1]] || '');
    case 'attempts':
        return JSON.stringify(ofBackends(r.variables));
    default:
        return field[1] === '' ? String(settings.line_version) : r.variables[field[1]];
    }
}

// Where the log is also nginx's own text (templates/own_formats.j2), that has the same attempts, as nginx lists them.
function ofBackends(variables) {
    const found = attempts(variables);
    if (settings.listed) {
        variables.ig_told_addresses = listed(found, 'address');
        variables.ig_told_statuses = listed(found, 'status');
    }
    return found;
}

function listed(found, name) {
    return found.map((each) => each[name] || '-').join(GROUP) || '-';
}

// What was sent to backends, in order: the queue and the short way's own server are none.
function attempts(variables) {
    const names = (variables.ig_tried + (variables.ig_backend || variables.ig_service || '')).split(',')
        .filter((name) => name !== '');
    const found = [];
    const sent = groups(variables).reverse();
    let more = sent.length - names.length;   // to the same backend as the one behind it
    let last;   // the addresses of that
    sent.forEach((group) => {
        // By its other addresses (retry.js).
        const again = more > 0 && last !== undefined && group.every((each) => last.indexOf(each.address) !== -1);
        more -= again ? 1 : 0;
        const name = again || names.length === 0 ? found.length === 0 ? '' : found[0].backend : names.pop();
        group.reverse().forEach((each) => found.unshift(told(name, throughUs(variables, name, each))));
        last = group.map((each) => each.address);
    });
    // Asked beside another one that was late (hedging.js): by us, so nginx knows nothing of it.
    names.reverse().forEach((name) => found.unshift(told(name, { status: failure(variables, name) || '-' })));
    return found;
}

// The status that a backend failed with, in words of retry.js and hedging.js; undefined if it did not.
function failure(variables, backend) {
    const parts = (';' + variables.ig_why).split(';' + backend + ' failed ');
    return parts.length > 1 ? parts[1].split(';')[0] : undefined;
}

function groups(variables) {
    const addresses = (variables.upstream_addr || '').split(GROUP);
    const lists = ['status', 'header_time', 'response_time', 'bytes_sent', 'connect_time']
        .map((name) => (variables['upstream_' + name] || '').split(GROUP));
    return addresses.map((text, at) => text.split(TRY).map((address, index) => {
        const of = lists.map((list) => (list[at] || '').split(TRY)[index]);
        return { address, status: of[0], header: of[1], response: of[2], sent: of[3], connect: of[4] };
    })).filter((group) => group[0].address !== '' && group[0].address !== settings.queue_address)
        .map((group, at, all) => group.filter((each, index) => !wasUnsent(each) || (at === all.length - 1 && index === group.length - 1)))
        .filter((group) => group.length !== 0);
}

// It got nothing, because it had closed a kept connection: no attempt (retry.js).
function wasUnsent(each) {
    return each.sent === '0' && each.connect !== '-';
}

// By way of our own server (attempts.conf), which answers for a backend that does not, and says in a header which
// address answered.
function throughUs(variables, backend, each) {
    const isOurs = each.address === settings.attempts_address;
    if (isOurs) {
        each.address = backend === variables.ig_backend ? variables.upstream_http_x_infergate_address || '' : '';
    }
    if (isOurs && (each.status === '502' || each.status === '504')) {
        each.status = failure(variables, backend) || each.status;
        each.header = undefined;
    }
    return each;
}

function told(backend, each) {
    return {
        backend, address: each.address || '', status: number(each.status), header_time: number(each.header), response_time: number(each.response),
    };
}

// nginx's "-" is none.
function number(text) {
    return text === undefined || text === '' || isNaN(Number(text)) ? null : Number(text);
}

export { line };
