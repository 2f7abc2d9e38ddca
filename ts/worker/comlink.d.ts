// Comlink's ES module by its path, which Node and bundlers load alike; its types stand beside its UMD build.
declare module 'comlink/dist/esm/comlink.mjs' {
  export * from 'comlink';
}

declare module 'comlink/dist/esm/node-adapter.mjs' {
  import type { Endpoint } from 'comlink';

  /** A worker or port of Node as what Comlink speaks through. */
  export default function nodeEndpoint(port: object): Endpoint;
}
