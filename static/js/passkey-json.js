// Converts between the JSON of the service and what the browser's WebAuthn functions take and give. Done by hand: older
// browsers lack the browser's own conversion, and extensions of password managers give objects on which it fails.

const bytes = (text) => Uint8Array.from(atob(text.replaceAll("-", "+").replaceAll("_", "/")), (character) => character.charCodeAt(0));

const text = (buffer) => btoa(String.fromCharCode(...new Uint8Array(buffer))).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");

const withIds = (credentials = []) => credentials.map((credential) => ({ ...credential, id: bytes(credential.id) }));

export const creationOptions = (options) => ({
  ...options,
  challenge: bytes(options.challenge),
  user: { ...options.user, id: bytes(options.user.id) },
  excludeCredentials: withIds(options.excludeCredentials),
});

export const requestOptions = (options) => ({
  ...options,
  challenge: bytes(options.challenge),
  allowCredentials: withIds(options.allowCredentials),
});

/** A credential that the browser has made or used. */
export function credentialJson({ rawId, type, response }) {
  const id = text(rawId);
  const parts = { clientDataJSON: text(response.clientDataJSON) };
  if (response.attestationObject) {
    parts.attestationObject = text(response.attestationObject);
    parts.transports = response.getTransports?.() ?? [];
  } else {
    parts.authenticatorData = text(response.authenticatorData);
    parts.signature = text(response.signature);
    if (response.userHandle) parts.userHandle = text(response.userHandle);
  }
  return { id, rawId: id, type, response: parts };
}
