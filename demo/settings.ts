// What a visitor can choose: in the form, and in the page's address, so that a link shares it.

import type { TrainOptions } from '../ts/cli/options.js';

export interface Settings {
  model: TrainOptions['model'];
  method: TrainOptions['method'];
  /** In (0, 1]. */
  density: number;
  /** Widths of the perceptron's hidden layers. */
  layers: number[];
  alpha: number;
  optimizer: TrainOptions['optimizer'];
  batch: number;
  /** Steps from one edit of the patterns to the next. */
  every: number;
  images: number;
  seconds: number;
}

const DEFAULTS: Record<keyof Settings, string> = {
  model: 'mlp',
  method: 'top-kast',
  density: '10',
  layers: '300,100',
  alpha: '1',
  optimizer: 'adam',
  batch: '64',
  every: '20',
  images: '20000',
  seconds: '20',
};

const names = Object.keys(DEFAULTS) as (keyof Settings)[];

function field(form: HTMLFormElement, name: string): HTMLInputElement | HTMLSelectElement {
  return form.elements.namedItem(name) as HTMLInputElement | HTMLSelectElement;
}

/** Fills the form from an address; returns what in it was no setting, in words. */
export function fillForm(form: HTMLFormElement, search: string): string[] {
  const given = new URLSearchParams(search);
  const refused: string[] = [];
  for (const name of names) {
    const input = field(form, name);
    input.value = given.get(name) ?? DEFAULTS[name];
    // A select that lacks the value is left empty.
    if (input.value === '' || !input.checkValidity()) {
      refused.push(`${name}=${given.get(name)}`);
      input.value = DEFAULTS[name];
    }
  }
  return refused;
}

const NETWORKS: Record<Settings['model'], string> = {
  mlp: 'A perceptron: from 784 pixels through the hidden layers to ten digits.',
  lenet5: 'LeNet-5: convolutions of 5×5 with 6 and 16 filters, each followed by max pooling, then 120, 84 and 10 units.',
};

/** Says in `line` what the network is, and asks only for what it has. */
export function fitNetwork(form: HTMLFormElement, line: HTMLElement): void {
  const model = field(form, 'model').value as Settings['model'];
  line.textContent = NETWORKS[model];
  field(form, 'layers').disabled = model !== 'mlp';
}

/** What the form says; it has been checked by the browser. */
export function readForm(form: HTMLFormElement): Settings {
  const text = (name: keyof Settings) => field(form, name).value;
  return {
    model: text('model') as Settings['model'],
    method: text('method') as Settings['method'],
    density: Number(text('density')) / 100,
    layers: text('layers').split(',').map(Number),
    alpha: Number(text('alpha')),
    optimizer: text('optimizer') as Settings['optimizer'],
    batch: Number(text('batch')),
    every: Number(text('every')),
    images: Number(text('images')),
    seconds: Number(text('seconds')),
  };
}

/** The address of these settings; what is as by default is left out, and what the network does not ask for. */
export function searchOf(form: HTMLFormElement): string {
  const search = new URLSearchParams();
  for (const name of names) {
    const { value, disabled } = field(form, name);
    if (value !== DEFAULTS[name] && !disabled) search.set(name, value);
  }
  const text = search.toString().replaceAll('%2C', ',');
  return text ? `?${text}` : '';
}
