// Parses PowerShell files with the grammar that editors use, and says where one does not parse.
//   MAILBEARER_TREE_SITTER=node_modules/@vscode/tree-sitter-wasm/wasm node --liftoff-only parse.mjs FILE…
import { createRequire } from 'node:module';
import fs from 'node:fs';
import path from 'node:path';

const dir = path.resolve(process.env.MAILBEARER_TREE_SITTER);
const { Parser, Language } = createRequire(import.meta.url)(path.join(dir, 'tree-sitter.js'));
await Parser.init({ locateFile: (file) => path.join(dir, file) });
const parser = new Parser();
parser.setLanguage(await Language.load(path.join(dir, 'tree-sitter-powershell.wasm')));
let wrong = 0;

function walk(file, node) {
  if (node.isError || node.isMissing) {
    wrong++;
    const { row, column } = node.startPosition;
    console.log(`${file}:${row + 1}:${column + 1}: ${node.isMissing ? 'missing ' + node.type : 'not PowerShell'}: ${JSON.stringify(node.text.slice(0, 80))}`);
  } else if (node.hasError) {
    node.children.forEach((child) => walk(file, child));
  }
}

for (const file of process.argv.slice(2)) walk(file, parser.parse(fs.readFileSync(file, 'utf8')).rootNode);
process.exit(wrong ? 1 : 0);
