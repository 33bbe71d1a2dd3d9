// Lets time pass for a server by ageing the rows of its database, so that no test has to wait.

import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** Makes every password confirmation eleven minutes older. */
export async function letConfirmationsLapse(server) {
  if (server.database) {
    const statement = "UPDATE sessions SET authenticated_at = statement_timestamp() - interval '11 minutes'";
    await run('psql', ['-X', '-q', '-v', 'ON_ERROR_STOP=1', '-c', statement, server.database.url]);
  } else {
    const file = join(server.folder, 'data', 'sessile.sqlite3');
    await run('sqlite3', ['-cmd', '.timeout 5000', file, "UPDATE sessions SET authenticated_at = authenticated_at - 660000000"]);
  }
}

/** Makes every session one hour older. */
export async function letAnHourPass(server) {
  const file = join(server.folder, 'data', 'sessile.sqlite3');
  const set = ['created_at', 'authenticated_at', 'last_activity', 'expires_at', 'absolute_expires_at'].map((name) => `${name} = ${name} - 3600000000`);
  await run('sqlite3', ['-cmd', '.timeout 5000', file, `UPDATE sessions SET ${set.join(', ')}`]);
}
