// by_path: what a table of endpoints says of one: " /path=word" for each, and a space behind the last.

// undefined where it does not have the path.
function word(table, path) {
    const name = ' ' + path + '=';
    const at = table.indexOf(name);
    return at === -1 ? undefined : table.slice(at + name.length, table.indexOf(' ', at + name.length));
}

export { word };
