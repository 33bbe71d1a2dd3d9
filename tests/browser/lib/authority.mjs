// A certificate authority for the hosts of a test, made with openssl. Browsers trust it by the hash of its key.

import { execFile } from 'node:child_process';
import { X509Certificate, createHash } from 'node:crypto';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);
const KEY = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];

/**
 * Makes an authority and, for each host, `fullchain.pem` and `privkey.pem` in a folder of `folder` that has the host's
 * name. Returns the argument with which Chromium trusts the authority.
 */
export async function certify(folder, hosts) {
  const authority = { certificate: join(folder, 'authority.pem'), key: join(folder, 'authority-key.pem') };
  await make(authority, 'Sessile test authority', []);
  for (const host of hosts) {
    await mkdir(join(folder, host));
    const own = { certificate: join(folder, host, 'certificate.pem'), key: join(folder, host, 'privkey.pem') };
    const signed = ['-CA', authority.certificate, '-CAkey', authority.key];
    await make(own, host, [...signed, '-addext', `subjectAltName=DNS:${host}`, '-addext', 'basicConstraints=critical,CA:false']);
    // The browser finds the trusted key only if the server sends the authority's certificate, too.
    await writeFile(join(folder, host, 'fullchain.pem'), await joined(own.certificate, authority.certificate));
  }
  const { publicKey } = new X509Certificate(await readFile(authority.certificate));
  const hash = createHash('sha256').update(publicKey.export({ type: 'spki', format: 'der' })).digest('base64');
  return `--ignore-certificate-errors-spki-list=${hash}`;
}

const make = ({ certificate, key }, name, more) =>
  run('openssl', ['req', '-x509', ...KEY, '-days', '2', '-subj', `/CN=${name}`, '-keyout', key, '-out', certificate, ...more]);

const joined = async (...files) => (await Promise.all(files.map((file) => readFile(file, 'utf8')))).join('');
