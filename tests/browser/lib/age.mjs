// Time passes for a server in its database, so that no test waits for it.

import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** Eleven minutes pass since every password was given. */
export async function letConfirmationsLapse(server) {
  if (server.database) {
    const statement = "UPDATE sessions SET authenticated_at = statement_timestamp() - interval '11 minutes'";
    await run('psql', ['-X', '-q', '-v', 'ON_ERROR_STOP=1', '-c', statement, server.database.url]);
  } else {
    const file = join(server.folder, 'data', 'sessile.sqlite3');
    await run('sqlite3', ['-cmd', '.timeout 5000', file, "UPDATE sessions SET authenticated_at = authenticated_at - 660000000"]);
  }
}

/** An hour passes since anybody did anything. */
export async function letAnHourPass(server) {
  const file = join(server.folder, 'data', 'sessile.sqlite3');
  const set = ['created_at', 'authenticated_at', 'last_activity', 'expires_at', 'absolute_expires_at'].map((name) => `${name} = ${name} - 3600000000`);
  await run('sqlite3', ['-cmd', '.timeout 5000', file, `UPDATE sessions SET ${set.join(', ')}`]);
}
