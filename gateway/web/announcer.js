// Says to assistive technology what others see at a glance, and not more often than it can be heard.

const PAUSE_MS = 4000;

export class Announcer {
  #corrupt = 0;
  #latest = '';
  #timer = null;

  /** `region`: a live region that nobody sees. */
  constructor(region) {
    this.region = region;
  }

  /** Told at once; what waited to be told is left out. */
  say(text) {
    clearTimeout(this.#timer);
    this.#timer = null;
    this.#corrupt = 0;
    this.region.textContent = text;
  }

  /** A frame was found corrupt; those of a while are told together. */
  corrupt(explanation) {
    this.#corrupt += 1;
    this.#latest = explanation;
    if (this.#timer !== null) return;
    this.#tell();
    this.#timer = setTimeout(() => {
      this.#timer = null;
      if (this.#corrupt) this.#tell();
    }, PAUSE_MS);
  }

  #tell() {
    this.region.textContent = this.#corrupt > 1
      ? `${this.#corrupt} frames are corrupt. The latest: ${this.#latest}` : this.#latest;
    this.#corrupt = 0;
  }
}
