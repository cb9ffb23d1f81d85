// watching: asks watch.js until a WebSocket is over, or must end.

async function untilItMayNot(r) {
    let status = 200;
    while (status === 200) {
        status = (await r.subrequest('/turn')).status;
    }
    r.return(status);
}

export { untilItMayNot };
