// Runs the real Azure Mobile Apps server on loopback. Once it answers, it prints {"port": N} on a line.
//
// DBFILE   the SQLite file; kept between runs
// PORT     0 or nothing: any free port
// TABLES   JSON: further tables, or others of the same names, as {"name": {"columns": {...}, "softDelete": true}}
// DYNAMIC  "off": unknown columns are refused instead of added
'use strict';

const express = require('express');
const azureMobileApps = require('azure-mobile-apps');

const tables = {
    todoitem: {softDelete: true, columns: {text: 'string', complete: 'boolean', priority: 'number'}},
    // A parent and its children: the server itself enforces no reference.
    todolist: {softDelete: true, columns: {title: 'string'}},
    todotask: {softDelete: true, columns: {list_id: 'string', text: 'string', complete: 'boolean'}},
    // Deleted rows are gone: no tombstones.
    label: {softDelete: false, columns: {name: 'string'}},
    ...JSON.parse(process.env.TABLES || '{}'),
};
const dynamicSchema = process.env.DYNAMIC !== 'off';

const app = express();
const mobile = azureMobileApps({
    data: {provider: 'sqlite', filename: process.env.DBFILE, dynamicSchema},
    logging: {level: 'error'},
    swagger: false,
});
for (const [name, definition] of Object.entries(tables)) {
    mobile.tables.add(name, {dynamicSchema, ...definition});
}
app.use(mobile);

// The tests hold the other end of stdin: when they are gone, however that happened, so is the server.
process.stdin.on('end', () => process.exit(0)).resume();

mobile.tables.initialize().then(
    () => {
        const server = app.listen(Number(process.env.PORT || 0), '127.0.0.1', () =>
            console.log(JSON.stringify({port: server.address().port})),
        );
    },
    (error) => {
        console.error(error);
        process.exit(1);
    },
);
