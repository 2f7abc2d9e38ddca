// Browsers have tfjs's own handlers (indexeddb://, downloads://, …) and no files.
export {};
