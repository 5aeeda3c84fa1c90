// One message that needs attention: what happened, why, what to try.

export class Panel {
  constructor({ panel, title, reason, hints, actions }) {
    Object.assign(this, { panel, title, reason, hints, actions });
  }

  /** kind: error, warning or info; actions: `[[label, callback]]`. */
  show({ kind, title, reason = '', hints = [], actions = [] }) {
    this.panel.dataset.kind = kind;
    this.title.textContent = title;
    this.setReason(reason);
    this.hints.replaceChildren(...hints.map((hint) => element('li', hint)));
    this.actions.replaceChildren(...actions.map(([label, callback]) => {
      const button = element('button', label);
      button.type = 'button';
      button.addEventListener('click', callback);
      return button;
    }));
    this.panel.hidden = false;
  }

  setReason(reason) {
    this.reason.textContent = reason;
    this.reason.hidden = !reason;
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
