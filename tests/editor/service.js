// What the JSON language service of VS Code says of texts: a request on standard input, the answers on standard output.
// {"schema": {…}, "texts": [{"text": "…", "at": [offset, …]}]} → [{"problems": […], "at": [{"completions": […], "hover": "…"}]}]
'use strict';
const { readFileSync } = require('node:fs');
const { getLanguageService, TextDocument } = require('vscode-json-languageservice');

const main = async () => {
  const { schema, texts } = JSON.parse(readFileSync(0, 'utf8'));
  // Whatever schema a text names by itself, it is ours.
  const service = getLanguageService({ schemaRequestService: async () => JSON.stringify(schema) });
  service.configure({ validate: true, schemas: [{ uri: 'test://schema', fileMatch: ['*.json'], schema }] });
  const answers = [];
  for (const { text, at } of texts) {
    const document = TextDocument.create('test://config.json', 'json', 1, text);
    const parsed = service.parseJSONDocument(document);
    const problems = await service.doValidation(document, parsed);
    const answer = { problems: problems.map((problem) => ({ line: problem.range.start.line + 1, message: problem.message })), at: [] };
    for (const offset of at) {
      const position = document.positionAt(offset);
      const list = await service.doComplete(document, position, parsed);
      const hover = await service.doHover(document, position, parsed);
      const words = hover ? [hover.contents].flat().map((part) => part.value || part) : [];
      answer.at.push({
        completions: list.items.map((item) => ({
          label: item.label,
          text: item.textEdit ? item.textEdit.newText : item.insertText,
          words: item.documentation ? item.documentation.value || item.documentation : '',
        })),
        hover: words.join('\n'),
      });
    }
    answers.push(answer);
  }
  process.stdout.write(JSON.stringify(answers));
};
main();
