// What the entrances share: the binary comes from somewhere, once, and everything else waits for it.

import { initSync, STAMP } from '../../wasm/kernels.js';
import { FileError, OptionError } from '../errors.js';
import { attach, isAtHand, isLoaded } from './memory.js';
import { bestVariant, VARIANTS, type Variant } from './variant.js';

/** Where the binary comes from. One of `wasmUrl` and `module`, or neither. */
export interface InitOptions {
  /** URL of the binary or, ending in a slash, of the folder with `simd128.wasm` and `relaxed-simd.wasm`. Default: where the package's own files are. */
  wasmUrl?: string | URL | undefined;
  /** The binary itself, for hosts that bring it along: compiled, as bytes, or as what `fetch` returns. */
  module?: WebAssembly.Module | BufferSource | Response | PromiseLike<WebAssembly.Module | BufferSource | Response> | undefined;
  /** Which of the files. Default: relaxed-simd where the engine can run it, else simd128; on Node the environment variable `TFJS_SPARSE_VARIANT` goes first. */
  variant?: Variant | undefined;
}

/** What one entrance knows: how to come by a binary at a URL, and by its own. */
export interface Entrance {
  variant(): Variant;
  own(variant: Variant): Promise<WebAssembly.Module>;
  from(url: string): Promise<WebAssembly.Module>;
}

const HELP =
  "The files are in node_modules/tfjs-sparse/wasm: serve them and say where with init({ wasmUrl }), or import 'tfjs-sparse/inline', which needs none.";

let loading: Promise<void> | undefined;

/** The public pair for one entrance. */
export function initFrom(entrance: Entrance): { init(options?: InitOptions): Promise<void>; ready(): Promise<void> } {
  async function load({ wasmUrl, module, variant = entrance.variant() }: InitOptions): Promise<void> {
    if (module !== undefined) start(await compiled(await module, 'init module'), 'init module');
    else if (wasmUrl !== undefined) start(await entrance.from(fileOf(String(wasmUrl), variant)), String(wasmUrl));
    else start(await entrance.own(variant), `the ${variant} binary`);
  }
  /**
   * Loads the binary. Only needed to say where it comes from: otherwise call {@link ready}. The first call decides, as does, on Node and with
   * `tfjs-sparse/inline`, the first use; later ones wait for it, and what they ask for does nothing. After a failure it may be called again.
   *
   * Throws an OptionError for options that are none, a FileError when there is no binary at that place, or a Content-Security-Policy forbids it.
   */
  async function init(options: InitOptions = {}): Promise<void> {
    check(options);
    if (isLoaded()) return;
    loading ??= load(options).finally(() => {
      loading = undefined;
    });
    return loading;
  }
  /** Resolves when the package can be used: to be awaited in browsers before the first sparse layer or op. */
  async function ready(): Promise<void> {
    // Who has imported tfjs-sparse/inline beside another entrance, as the script of a worker may, need not have the file.
    if (loading || !isAtHand()) await init();
  }
  return { init, ready };
}

function check(options: InitOptions): void {
  const known = ['wasmUrl', 'module', 'variant'];
  if (typeof options !== 'object' || options === null) throw new OptionError('init', `an object with ${known.join(', ')}`, options);
  const unknown = Object.keys(options).find((name) => !known.includes(name));
  if (unknown) throw new OptionError('init', known.join(', '), unknown);
  const { wasmUrl, module, variant } = options;
  if (wasmUrl !== undefined && module !== undefined) throw new OptionError('init', 'wasmUrl or module', ['wasmUrl', 'module']);
  if (wasmUrl !== undefined && typeof wasmUrl !== 'string' && !(wasmUrl instanceof URL)) {
    throw new OptionError('init wasmUrl', 'a string or URL', wasmUrl);
  }
  if (variant !== undefined && !VARIANTS.includes(variant)) throw new OptionError('init variant', VARIANTS.join(' or '), variant);
}

function fileOf(url: string, variant: Variant): string {
  return url.endsWith('/') ? `${url}${variant}.wasm` : url;
}

/** Makes a compiled binary the one in use; `what` names it in errors. It has to be one that was built together with this code. */
export function start(module: WebAssembly.Module, what: string): void {
  if (isLoaded()) return;
  const [section] = WebAssembly.Module.customSections(module, 'tfjs-sparse');
  const [stamp, variant] = section ? new TextDecoder().decode(section).split(' ') : [];
  if (stamp !== STAMP) {
    const received = section ? 'that of another one' : 'another wasm binary';
    throw new FileError(`${what}: expected the binary of this version of tfjs-sparse, received ${received}. ${HELP}`);
  }
  attach(initSync({ module }).memory, variant as Variant);
}

/** What `fetch` gets from a URL, compiled. */
export async function fetched(url: string | URL): Promise<WebAssembly.Module> {
  const response = await fetch(url).catch((cause: Error) => {
    throw new FileError(
      `${url}: cannot be fetched (${cause.message}; network, CORS, or connect-src of a Content-Security-Policy?). ${HELP}`,
      {
        cause,
      },
    );
  });
  return compiled(response, String(url));
}

/** Compiles whatever the binary came as. `what` names it in errors. */
export async function compiled(source: WebAssembly.Module | BufferSource | Response, what: string): Promise<WebAssembly.Module> {
  if (source instanceof WebAssembly.Module) return source;
  const isResponse = typeof Response === 'function' && source instanceof Response;
  const isBytes = source instanceof ArrayBuffer || ArrayBuffer.isView(source);
  if (!isResponse && !isBytes) throw new OptionError(what, 'a WebAssembly.Module, bytes or a Response', source);
  if (isBytes) return compileBytes(source, what, `${source.byteLength} bytes of something else`);
  if (!source.ok) throw new FileError(`${what}: expected the wasm binary, received HTTP status ${source.status}. ${HELP}`);
  const type = source.headers.get('Content-Type')?.split(';')[0].trim() || 'no Content-Type';
  // Engines compile while it downloads only what is served as what it is; many small servers do not know the type.
  if (type === 'application/wasm') return WebAssembly.compileStreaming(source).catch((cause) => refused(what, type, cause));
  return compileBytes(await source.arrayBuffer(), what, type);
}

async function compileBytes(bytes: BufferSource, what: string, received: string): Promise<WebAssembly.Module> {
  const head = new DataView(
    ArrayBuffer.isView(bytes) ? bytes.buffer : bytes,
    ArrayBuffer.isView(bytes) ? bytes.byteOffset : 0,
    bytes.byteLength,
  );
  // A missing file is often answered with a page.
  if (bytes.byteLength < 8 || head.getUint32(0) !== 0x0061736d) {
    throw new FileError(`${what}: expected the wasm binary, received ${received}. ${HELP}`);
  }
  return WebAssembly.compile(bytes).catch((cause) => refused(what, received, cause));
}

/** The engine's refusal in words that say what to do. */
export function refused(what: string, received: string, cause: unknown): never {
  const { message } = cause as Error;
  if (/content security policy|\bCSP\b/i.test(message)) {
    throw new FileError(
      `${what}: the page's Content-Security-Policy forbids WebAssembly; add 'wasm-unsafe-eval' to its script-src (${message})`,
      { cause },
    );
  }
  throw new FileError(`${what}: cannot be compiled (${message}); received ${received}. ${HELP}`, { cause });
}

/** The variant a Node user asked for by environment, or the best. */
export function variantAsked(asked: string | undefined): Variant {
  if (!asked) return bestVariant();
  if (!VARIANTS.includes(asked as Variant)) throw new OptionError('TFJS_SPARSE_VARIANT', VARIANTS.join(' or '), asked);
  return asked as Variant;
}

/** No binary where the package keeps its own. */
export function missing(path: string, cause: unknown): FileError {
  return new FileError(`${path}: cannot be read (${(cause as { code?: string }).code ?? cause}). ${HELP}`, { cause });
}
