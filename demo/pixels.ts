// Pictures of squares, and the pad to draw on.

import { colour } from './charts.js';
import { FEATURES, SIDE } from './mnist.js';
import type { Picture } from './picture.js';

export function showPicture(
  canvas: HTMLCanvasElement,
  caption: HTMLElement,
  { caption: text, range, label, width, shades }: Picture,
): void {
  [canvas.width, canvas.height] = [width, shades.length / width];
  canvas.classList.toggle('wide', width > canvas.height);
  const context = canvas.getContext('2d') as CanvasRenderingContext2D;
  context.fillStyle = colour('sparse');
  shades.forEach((shade, i) => {
    context.globalAlpha = shade;
    context.fillRect(i % width, Math.floor(i / width), 1, 1);
  });
  const small = document.createElement('span');
  small.textContent = range;
  caption.replaceChildren(`${text} `, small);
  canvas.setAttribute('aria-label', label);
}

/** A canvas to draw a digit on, white on black as in MNIST. `drawn` is told after each stroke. */
export class Pad {
  readonly #context: CanvasRenderingContext2D;
  #last: [number, number] | undefined;

  constructor(
    readonly canvas: HTMLCanvasElement,
    readonly drawn: () => void,
  ) {
    this.#context = canvas.getContext('2d', { willReadFrequently: true }) as CanvasRenderingContext2D;
    canvas.addEventListener('pointerdown', (event) => {
      canvas.setPointerCapture(event.pointerId);
      this.#last = undefined;
      this.#stroke(event);
    });
    canvas.addEventListener('pointermove', (event) => {
      if (event.buttons === 1) this.#stroke(event);
    });
    canvas.addEventListener('pointerup', () => this.drawn());
    this.clear();
  }

  #stroke(event: PointerEvent): void {
    const { left, top, width, height } = this.canvas.getBoundingClientRect();
    const at: [number, number] = [
      ((event.clientX - left) / width) * this.canvas.width,
      ((event.clientY - top) / height) * this.canvas.height,
    ];
    const context = this.#context;
    context.strokeStyle = '#fff';
    context.lineWidth = 22;
    context.lineCap = 'round';
    context.beginPath();
    context.moveTo(...(this.#last ?? at));
    context.lineTo(...at);
    context.stroke();
    this.#last = at;
  }

  clear(): void {
    this.#context.fillStyle = '#000';
    this.#context.fillRect(0, 0, this.canvas.width, this.canvas.height);
  }

  /** Shows a picture of MNIST, 784 bytes. */
  show(pixels: Uint8Array): void {
    const image = new ImageData(
      Uint8ClampedArray.from({ length: 4 * FEATURES }, (_, i) => (i % 4 === 3 ? 255 : pixels[i >> 2])),
      SIDE,
      SIDE,
    );
    const small = new OffscreenCanvas(SIDE, SIDE);
    small.getContext('2d')?.putImageData(image, 0, 0);
    this.#context.drawImage(small, 0, 0, this.canvas.width, this.canvas.height);
  }

  /**
   * What is drawn as the network knows digits: scaled into 20×20 and centred by mass in 28×28, as MNIST's makers did. Nothing for an empty pad.
   */
  read(): Float32Array | undefined {
    const { width, height } = this.canvas;
    const { data } = this.#context.getImageData(0, 0, width, height);
    const ink = (x: number, y: number) => data[4 * (y * width + x)];
    let [left, top, right, bottom] = [width, height, -1, -1];
    for (let y = 0; y < height; y++) {
      for (let x = 0; x < width; x++) {
        if (ink(x, y) < 30) continue;
        [left, right, top, bottom] = [Math.min(left, x), Math.max(right, x), Math.min(top, y), Math.max(bottom, y)];
      }
    }
    if (right < 0) return undefined;
    const scale = 20 / Math.max(right - left + 1, bottom - top + 1);
    const small = new OffscreenCanvas(SIDE, SIDE).getContext('2d', { willReadFrequently: true }) as OffscreenCanvasRenderingContext2D;
    const place = (dx: number, dy: number) => {
      small.fillStyle = '#000';
      small.fillRect(0, 0, SIDE, SIDE);
      small.imageSmoothingQuality = 'high';
      const [w, h] = [right - left + 1, bottom - top + 1];
      small.drawImage(this.canvas, left, top, w, h, (SIDE - w * scale) / 2 + dx, (SIDE - h * scale) / 2 + dy, w * scale, h * scale);
      return small.getImageData(0, 0, SIDE, SIDE).data;
    };
    const first = place(0, 0);
    let [mass, x, y] = [0, 0, 0];
    for (let i = 0; i < FEATURES; i++) {
      mass += first[4 * i];
      x += first[4 * i] * (i % SIDE);
      y += first[4 * i] * Math.floor(i / SIDE);
    }
    const centre = (SIDE - 1) / 2;
    const placed = place(Math.round(centre - x / mass), Math.round(centre - y / mass));
    return Float32Array.from({ length: FEATURES }, (_, i) => placed[4 * i] / 255);
  }
}
