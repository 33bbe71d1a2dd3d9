// How much the browser of a visitor loads, as it travels: compressed, with the headers of the answers.

import { addPerson, createOwner, expect, settled, sam, test } from '../lib/test.mjs';

const KB = 1_000;

test('the first load of the dashboard is at most 60 KB', async ({ page, server }) => {
  await addPerson(server, sam);
  const loads = await listen(page);
  await createOwner(page, server);
  await settled(page);
  const loaded = [...loads.values()].filter(({ path }) => path !== '/api/establish-session');
  const sum = loaded.reduce((bytes, { size }) => bytes + size, 0);
  const biggest = loaded.sort((one, other) => other.size - one.size).map(({ path, size }) => `${size} ${path}`);
  test.info().annotations.push({ type: 'bytes', description: `${sum} in ${loaded.length} requests` });
  expect(sum, biggest.join('\n')).toBeLessThanOrEqual(60 * KB);
});

/** Every request of the page from now on, with the bytes that its answer had. */
async function listen(page) {
  const session = await page.context().newCDPSession(page);
  const loads = new Map();
  session.on('Network.requestWillBeSent', ({ requestId, request }) => loads.set(requestId, { path: new URL(request.url).pathname, size: 0 }));
  session.on('Network.loadingFinished', ({ requestId, encodedDataLength }) => { if (loads.has(requestId)) loads.get(requestId).size = encodedDataLength; });
  await session.send('Network.enable');
  return loads;
}
