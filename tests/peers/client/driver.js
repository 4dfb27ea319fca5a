// Drives the Azure Mobile Apps client for JavaScript: one command per line of stdin, one answer per line of stdout.
//
//     {"do": "remote.insert", "table": "todoitem", "record": {"id": "a"}}   {"result": {"id": "a", "version": ...}}
//     what fails                                                            {"error": {"message": ..., "status": 409}}
//
// A Date is {"$date": "2026-01-01T00:00:00.000Z"} both ways. A query is {"filter": "text eq ?", "values": [...]} or
// {"function": "function(least) { return this.priority > least; }", "values": [...]}, with "orderBy": ["-text"],
// "skip", "take", "select" and "count"; {"raw": "..."} is the text of a query, or a whole address.
'use strict';

require('./shims.js');
const readline = require('node:readline');
const {MobileServiceClient, MobileServiceSqliteStore, Query} = require('azure-mobile-apps-client');

const SYSTEM = {id: 'string', version: 'string', createdAt: 'date', updatedAt: 'date', deleted: 'boolean'};
const columns = {};
let client, context, store;

const commands = {
    async open({url, path}) {
        if (store) await store.close();
        client = new MobileServiceClient(url);
        context = client.getSyncContext();
        if (path) {
            store = new MobileServiceSqliteStore(path);
            await context.initialize(store);
        }
    },
    async define({table, columns: own}) {
        columns[table] = {...SYSTEM, ...own};
        await store.defineTable({name: table, columnDefinitions: columns[table]});
    },

    // ---- online

    'remote.insert': ({table, record}) => client.getTable(table).insert(record),
    'remote.update': ({table, record}) => client.getTable(table).update(record),
    'remote.delete': ({table, record}) => client.getTable(table).del(record),
    'remote.lookup': ({table, id}) => client.getTable(table).lookup(id),
    'remote.refresh': ({table, record}) => client.getTable(table).refresh(record),
    async 'remote.read'({table, query = {}, parameters = {}}) {
        const records = await client.getTable(table).read(query.raw ?? made(table, query), parameters);
        return {records: [...records], total: records.totalCount, next: records.nextLink};
    },
    // It has no undelete of its own: applications post to the record's address.
    async 'remote.undelete'({table, record: {id, version}}) {
        const url = `${client.applicationUrl}/tables/${table}/${encodeURIComponent(id)}`;
        const headers = version ? {'If-Match': `"${version}"`} : {};
        return (await client.invokeApi(url, {method: 'POST', headers})).result;
    },

    // ---- offline

    'local.insert': ({table, record}) => client.getSyncTable(table).insert(record),
    'local.update': ({table, record}) => client.getSyncTable(table).update(record),
    'local.delete': ({table, record}) => client.getSyncTable(table).del(record),
    'local.lookup': ({table, id}) => client.getSyncTable(table).lookup(id, true),
    'local.read': ({table, query = {}}) => client.getSyncTable(table).read(made(table, query)),
    pull: ({table, query = {}, name, size}) => context.pull(made(table, query), name, {pageSize: size ?? null}),
    purge: ({table, query = {}, force = false}) => context.purge(made(table, query), force),
    pending: () => store.read(new Query('__operations').orderBy('id')),
    // Each conflict is settled with "server", "client" or "cancel"; those for which nothing was chosen are returned.
    async push({choose}) {
        const handler = async (met) => settle(met, choose);
        context.pushHandler = choose ? {onConflict: handler} : undefined;
        return (await context.push()).map((met) => ({
            table: met.getTableName(),
            action: met.getAction(),
            status: met.getError().request.status,
            client: met.getClientRecord(),
            server: met.getServerRecord(),
        }));
    },
};

function made(table, {filter, function: source, values = [], orderBy = [], skip, take, select, count}) {
    let query = new Query(table);
    if (filter) query = query.where(filter, ...values);
    if (source) query = query.where(new Function(`return (${source});`)(), ...values);
    for (const column of orderBy) {
        query = column.startsWith('-') ? query.orderByDescending(column.slice(1)) : query.orderBy(column);
    }
    if (skip !== undefined) query = query.skip(skip);
    if (take !== undefined) query = query.take(take);
    if (select) query = query.select(...select);
    return count ? query.includeTotalCount() : query;
}

async function settle(met, choice) {
    const table = met.getTableName();
    const ours = dated(table, met.getClientRecord());
    if (choice === 'cancel') return met.cancel();
    // A refused insert comes back with no copy of what is there.
    const theirs = dated(table, met.getServerRecord()) ?? (await client.getTable(table).lookup(ours.id));
    if (choice === 'server') {
        if (theirs.deleted) return met.cancelAndDiscard();
        if (met.getAction() !== 'delete') return met.cancelAndUpdate(theirs);
        await store.upsert(table, theirs);
        return met.cancel();
    }
    if (theirs.deleted) await commands['remote.undelete']({table, record: theirs});
    if (met.getAction() === 'delete') return met.changeAction('delete', theirs);
    const {version} = theirs.deleted ? await client.getTable(table).lookup(theirs.id) : theirs;
    return met.changeAction('update', {...ours, version});
}

// Its copies of records are made by way of JSON, in which dates are texts.
function dated(table, record) {
    if (!record) return record;
    const kept = Object.entries(record).filter(([, value]) => value !== null);
    return Object.fromEntries(
        kept.map(([name, value]) => [name, columns[table][name] === 'date' ? new Date(value) : value]),
    );
}

// ---- the lines

function fromLine(line) {
    return JSON.parse(line, (_, value) => (value && value.$date !== undefined ? new Date(value.$date) : value));
}

function toLine(answer) {
    return JSON.stringify(answer, function (name, value) {
        return this[name] instanceof Date ? {$date: this[name].toISOString()} : value;
    });
}

function failure(error) {
    // A push wraps what stopped it.
    const cause = error.jse_cause || error;
    return {
        message: String(error.message || error),
        status: cause.request && cause.request.status,
        server: cause.serverInstance,
    };
}

async function main() {
    for await (const line of readline.createInterface({input: process.stdin})) {
        let answer;
        try {
            const command = fromLine(line);
            answer = {result: (await commands[command.do](command)) ?? null};
        } catch (error) {
            answer = {error: failure(error)};
        }
        process.stdout.write(`${toLine(answer)}\n`);
    }
    // Whoever gave the commands is gone.
    process.exit(0);
}

main();
