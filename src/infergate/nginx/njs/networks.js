// networks: is an address in one of these networks (CIDR)?

// networks: separated by spaces, as src/infergate/config/types.py normalises them; with "!" those that
// are kept out. Without any other, the rest is let in.
function contain(networks, address) {
    // The 4 or 16 bytes of an address. An IPv4 address that came over an IPv6 socket (::ffff:1.2.3.4)
    // counts as IPv4.
    function bytesOf(text) {
        if (text.startsWith('::ffff:') && text.indexOf('.') !== -1) {
            return bytesOf(text.slice(7));
        }
        if (text.indexOf(':') === -1) {
            return text.split('.').map(Number);
        }
        const halves = text.split('::');
        const head = halves[0] === '' ? [] : halves[0].split(':');
        const tail = halves.length < 2 || halves[1] === '' ? [] : halves[1].split(':');
        const groups = head.slice();
        while (halves.length === 2 && groups.length + tail.length < 8) {
            groups.push('0');
        }
        const bytes = [];
        groups.concat(tail).forEach((group) => {
            const value = parseInt(group, 16);
            bytes.push(value >> 8, value & 255);
        });
        return bytes;
    }

    function has(network) {
        const slash = network.indexOf('/');
        const base = bytesOf(network.slice(0, slash));
        let bits = Number(network.slice(slash + 1));
        if (base.length !== bytes.length) {
            return false;
        }
        for (let i = 0; bits > 0; i++, bits -= 8) {
            const mask = bits >= 8 ? 255 : (255 << (8 - bits)) & 255;
            if ((base[i] & mask) !== (bytes[i] & mask)) {
                return false;
            }
        }
        return true;
    }

    const bytes = bytesOf(address);
    const all = networks.split(' ');
    const allowed = all.filter((network) => network[0] !== '!');
    return !all.some((network) => network[0] === '!' && has(network.slice(1)))
        && (allowed.length === 0 || allowed.some(has));
}

export { contain };
