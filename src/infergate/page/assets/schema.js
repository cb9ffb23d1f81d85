// schema: what may stand at a place of the configuration, by its JSON Schema.

// The schemas that hold at a path of names, with references followed and alternatives apart.
export function schemasAt(root, path) {
    let found = alternatives(root, root);
    for (const name of path) {
        found = found.flatMap((each) => below(root, each, name));
    }
    return found;
}

function alternatives(root, schema, depth = 0) {
    if (!schema || depth > 8) {
        return [];
    }
    const own = schema.$ref ? alternatives(root, root.$defs?.[schema.$ref.split('/').pop()], depth + 1) : [];
    const parts = [...schema.anyOf ?? [], ...schema.oneOf ?? [], ...schema.allOf ?? []].flatMap((each) => alternatives(root, each, depth + 1));
    return [schema, ...own, ...parts];
}

function below(root, schema, name) {
    const known = schema.properties?.[name];
    if (known) {
        return alternatives(root, known);
    }
    if (name === '-' && schema.items) {
        return alternatives(root, schema.items);
    }
    return schema.additionalProperties && typeof schema.additionalProperties === 'object' ? alternatives(root, schema.additionalProperties) : [];
}

// What may be said at a path: names of settings, with what each means.
export function settingsAt(root, path) {
    const found = new Map();
    for (const schema of schemasAt(root, path)) {
        for (const [name, each] of Object.entries(schema.properties ?? {})) {
            found.set(name, described(root, each));
        }
    }
    return [...found].map(([name, what]) => ({text: name, what}));
}

// What a setting may be: the words it takes.
export function valuesAt(root, path) {
    const found = new Set();
    for (const schema of schemasAt(root, path)) {
        (schema.enum ?? []).forEach((each) => found.add(String(each)));
        if (schema.const !== undefined) {
            found.add(String(schema.const));
        }
        if (schema.type === 'boolean') {
            found.add('true').add('false');
        }
    }
    return [...found].map((text) => ({text, what: ''}));
}

function described(root, schema) {
    return schema.description ?? alternatives(root, schema).map((each) => each.description).find(Boolean) ?? '';
}

// Where a position of a YAML text is: the names above it by their indentation, and what is begun.
// Of flow style ({a: b}) the names in open braces count as well.
export function placeIn(text, position) {
    const lines = text.slice(0, position).split('\n');
    const line = lines.pop();
    const indent = /^[ ]*(?:- +)*/.exec(line)[0].length;
    const path = [];
    let deepest = indent;
    for (const above of lines.reverse()) {
        const found = /^( *)((?:- +)*)([\w.*/"'@-]+(?: [\w-]+)*) *:(?: |$)/.exec(above);
        if (!found || above.trim().startsWith('#')) {
            continue;
        }
        const own = found[1].length + found[2].length;
        if (own < deepest) {
            path.unshift(unquoted(found[3]));
            deepest = own;
        }
        if (deepest === 0) {
            break;
        }
    }
    const begun = line.slice(indent);
    const parts = begun.split(/[{,]/);
    const open = begun.split('{').length - begun.split('}').length;
    const names = open > 0 ? begun.split('{').slice(0, open).map((each) => /([\w.*-]+) *: *$/.exec(each)?.[1]).filter(Boolean) : [];
    const last = parts.at(-1).trimStart();
    const value = /^([\w.*/"'@-]+) *: +(.*)$/.exec(last);
    return value && !value[2].includes('{')
        ? {path: [...path, ...names, unquoted(value[1])], begun: value[2], isValue: true}
        : {path: [...path, ...names], begun: last, isValue: false};
}

const unquoted = (name) => name.replace(/^["'](.*)["']$/, '$1');
