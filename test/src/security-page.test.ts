import { readFile } from "node:fs/promises";
import test from "ava";

const at = (path: string) => new URL(`../../${path}`, import.meta.url);

/** Files that the page's table names, each with the titles of tests behind it. */
function named(page: string): [path: string, title: string | undefined][] {
	const [, table = ""] = page.split("## How it is tested");
	const found: [string, string | undefined][] = [];
	for (const row of table.split("\n## ")[0]?.split("\n") ?? []) {
		let path = "";
		for (const [, file, title] of row.matchAll(/`([^`]+\.ts)`|"([^"]+)"/g)) {
			path = file ?? path;
			found.push([path, title]);
		}
	}
	return found;
}

test("every test that docs/SECURITY.md names is there", async (t) => {
	const all = named(await readFile(at("docs/SECURITY.md"), "utf8"));
	t.true(all.length > 40, `${all.length}`);
	for (const [path, title] of all) {
		const text = await readFile(at(path), "utf8");
		const begun = title === undefined || text.includes(`("${title}"`);
		t.true(begun, `${path}: "${title}"`);
	}
});
