// Stores a field's text on this device, and knows how much of it is stored. Text counts as stored only when the store
// has confirmed it; every way out of the field checks this. Used by drafts.js.

export class Autosave {
  /** `write(text)` stores the field's text and rejects if that fails. */
  constructor(field, write) {
    this.field = field;
    this.write = write;
    /** The text that the store has confirmed. */
    this.stored = field.value;
    /** The text of the last write that was started, and the result of that write. */
    this.requested = field.value;
    this.pending = Promise.resolve(true);
    /** Whether the last write failed. */
    this.hasFailed = false;
  }

  get isDirty() {
    return this.field.value !== this.stored;
  }

  /** Stores the field's text, including text typed meanwhile. Resolves to whether all of it is stored. */
  async save() {
    while (this.isDirty) {
      const { value } = this.field;
      const isDone = await this.#request(value);
      if (!isDone && this.field.value === value) return false;
    }
    return true;
  }

  /**
   * Starts at once, even while another write is running: the page may be about to close. The store runs writes in
   * order.
   */
  #request(value) {
    if (value !== this.requested) {
      this.requested = value;
      this.pending = this.#store(value);
    }
    return this.pending;
  }

  async #store(value) {
    try {
      await this.write(value);
      this.stored = value;
      this.hasFailed = false;
      return true;
    } catch {
      // A newer write has its own result.
      if (this.requested === value) this.requested = this.stored;
      this.hasFailed = true;
      return false;
    }
  }

  /** Shows `text`, which the store already holds. */
  show(text) {
    this.field.value = text;
    this.stored = this.requested = this.field.value;
  }
}
