// What the client expects of a browser and of Cordova's SQLite plugin, on Node.js. It must come before the client.
'use strict';

const openDatabase = require('websql');

global.window = global;
global.XMLHttpRequest = require('xhr2');
// The client looks for this to know that requests may go to other origins.
global.XMLHttpRequest.prototype.withCredentials = false;
// With this it takes itself for Cordova, where it has a store.
global.cordova = {version: '0.0.0'};

// It takes dozens of turns for each record that it stores, each with a timer of a millisecond.
const setTimer = global.setTimeout;
global.setTimeout = (work, wait, ...values) =>
    wait > 1 ? setTimer(work, wait, ...values) : setImmediate(work, ...values);

// The plugin's database is Web SQL's with two methods more. websql gives rows for SELECT only.
global.sqlitePlugin = {
    openDatabase({name}, done) {
        const database = openDatabase(name, '1.0', name, 0);
        const plugin = {
            transaction: (work, failed, done) =>
                database.transaction((inner) => work(withPragmas(inner)), failed, () => done()),
            executeSql: (sql, values, done, failed) =>
                database.transaction(
                    (inner) =>
                        inner.executeSql(
                            sql,
                            values,
                            (_, result) => done(result),
                            (_, error) => failed(error),
                        ),
                    failed,
                ),
            close: (done, failed) => database._db._db.close((error) => (error ? failed(error) : done())),
        };
        setImmediate(done);
        return plugin;
    },
};

function withPragmas(transaction) {
    return {
        executeSql(sql, values, done, failed) {
            const pragma = /^PRAGMA table_info\((\w+)\);$/.exec(sql);
            const select = pragma ? `SELECT * FROM pragma_table_info('${pragma[1]}')` : sql;
            transaction.executeSql(select, values, done && ((_, result) => done(this, result)), failed);
        },
    };
}
