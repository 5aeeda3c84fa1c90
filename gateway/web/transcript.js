// What was said: finished sentences, and the one being spoken.

export class Transcript {
  #sentences = []; // {text, startMs, endMs, session}
  #session = 0;
  #offsetMs = 0; // where the server's times of this session begin

  constructor({ container, list, partial, empty }) {
    Object.assign(this, { container, list, partial, empty });
  }

  /** A new session begins: what was said in those before stays. */
  begin() {
    this.#session += 1;
    this.#offsetMs = 0;
    this.showPartial('');
  }

  /** The server counts from 0 again, in the middle of a session. */
  renew() {
    this.#offsetMs = this.cues.at(-1)?.endMs ?? 0;
  }

  clear() {
    this.#sentences = [];
    this.list.replaceChildren();
    this.showPartial('');
    this.empty.hidden = false;
  }

  /** What stands where no text is yet. */
  invite(text) {
    this.empty.textContent = text;
  }

  showPartial(text) {
    this.#keepAtEnd(() => {
      this.partial.textContent = text;
      if (text) this.empty.hidden = true;
    });
  }

  /** `start_ms`, `end_ms`: in the audio of the session, where the server tells. */
  addSentence({ text, start_ms: startMs, end_ms: endMs }) {
    this.showPartial('');
    if (!text.trim()) return null;
    const before = this.#sentences.at(-1);
    const timed = Number.isFinite(startMs) && Number.isFinite(endMs);
    this.#sentences.push({
      text,
      session: this.#session,
      startMs: timed ? startMs + this.#offsetMs : null,
      endMs: timed ? endMs + this.#offsetMs : null,
    });
    this.empty.hidden = true;
    const item = document.createElement('li');
    this.#keepAtEnd(() => {
      item.textContent = text;
      if (before && before.session !== this.#session) item.className = 'begins';
      this.list.append(item);
    });
    return item;
  }

  get isEmpty() {
    return this.#sentences.length === 0;
  }

  /** All of it; an empty line between sessions. */
  get text() {
    return this.#sentences.map(({ text, session }, i) =>
      (i && session !== this.#sentences[i - 1].session ? `\n${text}` : text)).join('\n');
  }

  /** `[{text, startMs, endMs}]` of the latest session, as far as it has times. */
  get cues() {
    return this.#sentences.filter(({ session, startMs }) =>
      session === this.#session && startMs !== null);
  }

  /** Follows the text unless the reader scrolled back. */
  #keepAtEnd(change) {
    const { scrollTop, clientHeight, scrollHeight } = this.container;
    const atEnd = scrollHeight - clientHeight - scrollTop < 40;
    change();
    if (atEnd) this.container.scrollTop = this.container.scrollHeight;
  }
}
