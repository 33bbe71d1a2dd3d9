// How much of what stands in a field is kept on this device. Text counts as kept when the store has said so, never before:
// whatever leads away from the field goes by this. Used by drafts.js.

export class Keeping {
  /** `write(text)` puts the field's text into the store and rejects if that fails. */
  constructor(field, write) {
    this.field = field;
    this.write = write;
    /** What the store is known to hold. */
    this.kept = field.value;
    /** What it was last asked to hold, and how that goes. */
    this.asked = field.value;
    this.asking = Promise.resolve(true);
    /** Whether the last answer of the store was a refusal. */
    this.isRefused = false;
  }

  get isUnkept() {
    return this.field.value !== this.kept;
  }

  /** Keeps what stands in the field, also what is typed meanwhile; whether all of it is kept. */
  async keep() {
    while (this.isUnkept) {
      const { value } = this.field;
      const isDone = await this.#ask(value);
      if (!isDone && this.field.value === value) return false;
    }
    return true;
  }

  /** Begins at once, though another write may be under way: the page may be about to go. The store works in order. */
  #ask(value) {
    if (value !== this.asked) {
      this.asked = value;
      this.asking = this.#put(value);
    }
    return this.asking;
  }

  async #put(value) {
    try {
      await this.write(value);
      this.kept = value;
      this.isRefused = false;
      return true;
    } catch {
      // What was asked for later goes its own way.
      if (this.asked === value) this.asked = this.kept;
      this.isRefused = true;
      return false;
    }
  }

  /** The field shows what the store holds. */
  show(text) {
    this.field.value = text;
    this.kept = this.asked = this.field.value;
  }
}
