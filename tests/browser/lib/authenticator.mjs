// A virtual authenticator of Chromium, by the DevTools protocol. Each page needs its own.

/** What a phone or a laptop has built in: it verifies its owner, keeps passkeys, and syncs them. */
const BUILT_IN = {
  protocol: 'ctap2',
  ctap2Version: 'ctap2_1',
  transport: 'internal',
  hasResidentKey: true,
  hasUserVerification: true,
  isUserVerified: true,
  automaticPresenceSimulation: true,
  defaultBackupEligibility: true,
  defaultBackupState: true,
};

/** A security key. */
export const SECURITY_KEY = { transport: 'usb', defaultBackupEligibility: false, defaultBackupState: false };

export class Authenticator {
  #cdp;
  #id;

  /** Adds one to a page. The page must not have asked for a passkey yet. */
  static async of(page, options = {}) {
    const authenticator = new Authenticator();
    authenticator.#cdp = await page.context().newCDPSession(page);
    await authenticator.#cdp.send('WebAuthn.enable', { enableUI: false });
    const added = await authenticator.#cdp.send('WebAuthn.addVirtualAuthenticator', { options: { ...BUILT_IN, ...options } });
    authenticator.#id = added.authenticatorId;
    return authenticator;
  }

  #call(method, more = {}) {
    return this.#cdp.send(`WebAuthn.${method}`, { authenticatorId: this.#id, ...more });
  }

  async credentials() {
    return (await this.#call('getCredentials')).credentials;
  }

  /** Copies the passkeys of another one, as a password manager does that syncs them. */
  async copy(other) {
    for (const credential of await other.credentials()) await this.#call('addCredential', { credential });
  }

  /** Whether somebody touches it when it is asked. */
  touches(enabled) {
    return this.#call('setAutomaticPresenceSimulation', { enabled });
  }

  /** Whether the fingerprint, face or PIN is the right one. */
  verifies(isUserVerified) {
    return this.#call('setUserVerified', { isUserVerified });
  }

  /** Sets back what its passkeys have counted. */
  async setCounter(signCount) {
    for (const credential of await this.credentials()) {
      await this.#call('removeCredential', { credentialId: credential.credentialId });
      await this.#call('addCredential', { credential: { ...credential, signCount } });
    }
  }
}
