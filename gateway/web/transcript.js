// What was said: finished sentences, and the one being spoken.

export class Transcript {
  #sentences = [];

  constructor({ container, list, partial, empty }) {
    Object.assign(this, { container, list, partial, empty });
  }

  clear() {
    this.#sentences = [];
    this.list.replaceChildren();
    this.showPartial('');
    this.empty.hidden = false;
  }

  showPartial(text) {
    this.#keepAtEnd(() => {
      this.partial.textContent = text;
      if (text) this.empty.hidden = true;
    });
  }

  addSentence(text) {
    this.showPartial('');
    if (!text.trim()) return;
    this.#sentences.push(text);
    this.empty.hidden = true;
    this.#keepAtEnd(() => {
      const item = document.createElement('li');
      item.textContent = text;
      this.list.append(item);
    });
  }

  get text() {
    return this.#sentences.join('\n');
  }

  /** Follows the text unless the reader scrolled back. */
  #keepAtEnd(change) {
    const { scrollTop, clientHeight, scrollHeight } = this.container;
    const atEnd = scrollHeight - clientHeight - scrollTop < 40;
    change();
    if (atEnd) this.container.scrollTop = this.container.scrollHeight;
  }
}
