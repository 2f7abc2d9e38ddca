// A user's program in TypeScript, as strict as it can be. tfjs's own declarations have errors; ours may have none.

import assert from 'node:assert/strict';
import { relative } from 'node:path';
import ts from 'typescript';
import { fill } from './project.mjs';

const RESOLUTIONS = {
  nodenext: { module: ts.ModuleKind.NodeNext, moduleResolution: ts.ModuleResolutionKind.NodeNext },
  bundler: { module: ts.ModuleKind.ESNext, moduleResolution: ts.ModuleResolutionKind.Bundler },
};

export async function test({ check, packed }) {
  const { folder } = packed;
  fill(folder);
  for (const [name, options] of Object.entries(RESOLUTIONS)) {
    await check(`moduleResolution ${name}, strict, no skipLibCheck`, () => {
      const program = ts.createProgram([`${folder}/types/use.ts`], {
        ...options,
        target: ts.ScriptTarget.ES2022,
        lib: ['lib.es2022.d.ts', 'lib.dom.d.ts'],
        strict: true,
        exactOptionalPropertyTypes: true,
        noUncheckedIndexedAccess: true,
        noEmit: true,
        skipLibCheck: false,
        types: [],
      });
      const errors = ts.getPreEmitDiagnostics(program).map(({ file, start = 0, messageText }) => {
        const line = file ? file.getLineAndCharacterOfPosition(start).line + 1 : 0;
        return { path: file ? relative(folder, file.fileName) : '', line, text: ts.flattenDiagnosticMessageText(messageText, '\n') };
      });
      const [theirs, ours] = [errors.filter(isTheirs), errors.filter((error) => !isTheirs(error))];
      assert.deepEqual(ours, []);
      const checked = program.getSourceFiles().filter(({ fileName }) => fileName.includes('/tfjs-sparse/dist/'));
      assert.ok(checked.length > 20);
      return `${checked.length} declaration files of ours without an error; ${theirs.length} errors in others`;
    });
  }
}

/** tfjs's, or of TypeScript's own library where tfjs's clash with it. */
const isTheirs = ({ path }) => path.includes('node_modules/') && !path.includes('node_modules/tfjs-sparse/');
