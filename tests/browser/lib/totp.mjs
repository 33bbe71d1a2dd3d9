// What an authenticator app on a phone does (RFC 6238).

import { createHmac } from 'node:crypto';

/** The bytes of a text in base32. */
function bytesOf(base32) {
  const bits = [...base32.replaceAll(' ', '')].map((c) => 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567'.indexOf(c).toString(2).padStart(5, '0')).join('');
  return Buffer.from(bits.match(/.{8}/g).map((byte) => parseInt(byte, 2)));
}

/** The code for a key, so many periods of 30 seconds from now. */
export function appCode(key, periods = 0) {
  const step = Buffer.alloc(8);
  step.writeBigUInt64BE(BigInt(Math.floor(Date.now() / 30_000) + periods));
  const digest = createHmac('sha1', bytesOf(key)).update(step).digest();
  const at = digest.at(-1) & 0xf;
  return String((digest.readUInt32BE(at) & 0x7fffffff) % 1_000_000).padStart(6, '0');
}
