// One message that needs attention: what happened, why, what to try.

export class Panel {
  constructor({ panel, title, reason, hints, progress, actions }) {
    Object.assign(this, { panel, title, reason, hints, progress, actions });
  }

  /** kind: error, warning or info; actions: `[[label, callback]]`. */
  show({ kind, title, reason = '', hints = [], actions = [] }) {
    if (!this.panel.hidden && this.title.textContent === title) {
      this.reason.textContent = reason; // still the same: a button may have the focus
      return;
    }
    this.panel.dataset.kind = kind;
    this.title.textContent = title;
    this.reason.textContent = reason;
    this.showProgress('');
    this.hints.replaceChildren(...hints.map((hint) => element('li', hint)));
    this.actions.replaceChildren(...actions.map(([label, callback]) => {
      const button = element('button', label);
      button.type = 'button';
      button.addEventListener('click', callback);
      return button;
    }));
    this.panel.hidden = false;
  }

  /** What changes every second; not read out. */
  showProgress(text) {
    this.progress.textContent = text;
  }

  hide() {
    this.panel.hidden = true;
  }
}

export function element(name, text, attributes = {}) {
  const made = document.createElement(name);
  if (text !== null) made.textContent = text;
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}

/** Lets the browser save a text. */
export function saveFile(name, type, text) {
  const url = URL.createObjectURL(new Blob([text], { type }));
  element('a', '', { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}
