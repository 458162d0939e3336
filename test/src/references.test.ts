import { readdirSync, readFileSync } from "node:fs";
import { join, relative, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import test from "ava";

const root = fileURLToPath(new URL("../../", import.meta.url));
const json = (path: string) => JSON.parse(readFileSync(path, "utf8"));
const dirs = (json(join(root, "tsconfig.json")).references as Reference[]).map(
	(r) => r.path,
);
interface Reference {
	path: string;
}

/** Package name -> folder, of those that are compiled. */
const folders = new Map(
	dirs.map((dir) => [
		json(join(root, dir, "package.json")).name as string,
		dir,
	]),
);

/** Packages of ours that a package's sources and tests import. */
function imported(dir: string): Set<string> {
	const src = join(root, dir, "src");
	const found = new Set<string>();
	for (const file of readdirSync(src, { recursive: true, encoding: "utf8" })) {
		if (!file.endsWith(".ts")) continue;
		const text = readFileSync(join(src, file), "utf8");
		for (const [, name = ""] of text.matchAll(
			/(?:from|import)\s*\(?\s*"((?:@wattvox\/[a-z-]+)|wattvox)(?:\/[a-z-]+)?"/g,
		))
			if (folders.has(name)) found.add(folders.get(name) as string);
	}
	found.delete(dir);
	return found;
}

// In a checkout that was built before, a missing reference is not noticed: the other package's dist is
// there. In a fresh one the compiler may come to this package first.
for (const dir of dirs)
	test(`${dir}: what it imports, it references`, (t) => {
		const { references = [] } = json(join(root, dir, "tsconfig.json"));
		const referenced = new Set(
			(references as Reference[]).map((r) =>
				relative(root, resolve(root, dir, r.path)),
			),
		);
		const missing = [...imported(dir)].filter((d) => !referenced.has(d));
		t.deepEqual(missing, []);
	});

test("the check sees the packages and their imports", (t) => {
	t.true(folders.size >= 15);
	t.true(imported("toolkit/cli").has("toolkit/fleet"));
	t.true(imported("toolkit/core").size === 0);
});
