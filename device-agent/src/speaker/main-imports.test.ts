import { existsSync, readFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import test from "ava";

const DIST = fileURLToPath(new URL("..", import.meta.url));
/** As the compiler writes them, types left out. */
const IMPORTS = /(?:from|import|import\(|new URL\()\s*"([^"]+)"/g;

/** What a module of ours loads, or may load later, itself included; and what it takes of other packages. */
function reach(main: string): { own: string[]; others: string[] } {
	const own = new Set<string>();
	const others = new Set<string>();
	const visit = (path: string) => {
		if (own.has(path)) return;
		own.add(path);
		for (const [, name = ""] of readFileSync(path, "utf8").matchAll(IMPORTS))
			if (!name.startsWith(".")) others.add(name);
			else if (existsSync(join(dirname(path), name)))
				visit(join(dirname(path), name));
	};
	visit(join(DIST, main));
	return { own: [...own].map((p) => relative(DIST, p)), others: [...others] };
}

test("the speaker's process has no code of ours that pulls, verifies, tries, builds or refits", (t) => {
	const { own, others } = reach("speaker/main.js");
	t.true(own.includes("speaker/server.js"), "the looking works");
	t.deepEqual(
		own.filter((path) => !path.startsWith("speaker/")),
		[],
	);
	t.deepEqual(others.filter((name) => name.startsWith("@wattvox/")).sort(), [
		"@wattvox/bundle",
		"@wattvox/core",
		"@wattvox/energy",
		"@wattvox/runtime",
		"@wattvox/runtime/tensorrt",
		"@wattvox/speech",
		"@wattvox/synth",
	]);
});

test("of what could do so it names nothing", (t) => {
	const names =
		/\b(workshop|buildEngine|refit|runTrial|pullBundle|pullEngine|checkGolden|compileShim|verifyBundle|FolderStore)\b/;
	for (const path of reach("speaker/main.js").own) {
		const code = readFileSync(join(DIST, path), "utf8")
			.replace(/\/\*[\s\S]*?\*\//g, "")
			.replace(/^\s*\/\/.*$/gm, "");
		t.notRegex(code, names, path);
	}
});
