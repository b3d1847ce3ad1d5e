import pkg from "vscode-json-languageservice"; const { getLanguageService, TextDocument } = pkg;
import { readFileSync } from "node:fs";
// Asks the JSON language service of editors about texts: what is wrong with each, or what it offers and says where ‸ is.
const schema = JSON.parse(readFileSync(process.argv[2], "utf8"));
const service = getLanguageService({ schemaRequestService: () => Promise.reject("no network") });
service.configure({ validate: true, schemas: [{ uri: "ablate://spec", fileMatch: ["*"], schema }] });
const answer = [];
for (const text of JSON.parse(readFileSync(0, "utf8"))) {
  const caret = text.indexOf("‸");
  const document = TextDocument.create("file:///spec.json", "json", 1, text.replace("‸", ""));
  const json = service.parseJSONDocument(document);
  if (caret < 0) {
    const found = await service.doValidation(document, json);
    answer.push(found.map((d) => `${d.range.start.line + 1}:${d.range.start.character + 1} ${d.message}`));
  } else {
    const list = await service.doComplete(document, document.positionAt(caret), json);
    const hover = await service.doHover(document, document.positionAt(caret), json);
    answer.push({ offered: list.items.map((i) => i.label), hover: hover?.contents });
  }
}
process.stdout.write(JSON.stringify(answer, null, 1));
