// Lets time pass for a server by ageing the rows of its database, so that no test has to wait.

import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect } from '@playwright/test';

const run = promisify(execFile);

/** Makes every password confirmation eleven minutes older. */
export async function letConfirmationsLapse(server) {
  const set = server.database ? "authenticated_at = statement_timestamp() - interval '11 minutes'" : 'authenticated_at = authenticated_at - 660000000';
  await sql(server, `UPDATE sessions SET ${set}`);
  await letNodesForget(server);
}

/** Makes every session one hour older. */
export const letAnHourPass = (server) => letHoursPass(server, 1);

/** Makes every session older than the idle time. */
export const letSessionsExpire = (server) => letHoursPass(server, 73);

async function letHoursPass(server, hours) {
  const times = ['created_at', 'authenticated_at', 'last_activity', 'expires_at', 'absolute_expires_at'];
  const set = times.map((name) => `${name} = ${name} - ${hours * 3_600_000_000}`);
  await sql(server, `UPDATE sessions SET ${set.join(', ')}`);
  await letNodesForget(server);
}

/** Notes that an app was used when it was added, as the gate does. */
export const noteAppUsed = (server, id) => sql(server, `UPDATE apps SET last_used_at = created_at WHERE id = '${id}'`);

/** Lets the running nodes forget the sessions that they cached: a node whose row is removed starts anew. */
async function letNodesForget(server) {
  const count = async () => Number(await sql(server, 'SELECT count(*) FROM nodes'));
  const nodes = await count();
  if (nodes === 0) return;
  await sql(server, 'DELETE FROM nodes');
  await expect.poll(count).toBeGreaterThan(0);
}

async function sql(server, statement) {
  const program = server.database
    ? run('psql', ['-XAtq', '-v', 'ON_ERROR_STOP=1', '-c', statement, server.database.url])
    : run('sqlite3', ['-cmd', '.timeout 5000', join(server.folder, 'data', 'sessile.sqlite3'), statement]);
  return (await program).stdout.trim();
}
