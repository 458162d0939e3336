// What npm would put into each package of ours: the TensorRT of the tests is in none.
import { execFile } from "node:child_process";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import test from "ava";

const ROOT = fileURLToPath(new URL("../../..", import.meta.url));

/** Packages by name, with the folder and the files of each; those of weights have nothing to compile. */
async function packed() {
	const { workspaces } = JSON.parse(
		await readFile(join(ROOT, "package.json"), "utf8"),
	) as { workspaces: string[] };
	const folders = (
		await Promise.all(
			workspaces
				.filter((w) => !w.startsWith("models"))
				.map(async (w) => {
					if (!w.endsWith("/*")) return [w];
					const dir = w.slice(0, -2);
					return (await readdir(join(ROOT, dir))).map(
						(name) => `${dir}/${name}`,
					);
				}),
		)
	).flat();
	const { stdout } = await promisify(execFile)(
		"npm",
		[
			...["pack", "--dry-run", "--json", "--ignore-scripts", "--offline"],
			...folders.map((folder) => `./${folder}`),
		],
		{ cwd: ROOT, maxBuffer: 64e6 },
	);
	const packages: { name: string; files: { path: string }[] }[] =
		JSON.parse(stdout);
	return packages.map(({ name, files }, i) => ({
		name,
		dir: join(ROOT, folders[i] as string),
		files: files.map((file) => file.path),
	}));
}

test("the shim's sources are packaged, the stand-in for TensorRT is not", async (t) => {
	const packages = await packed();
	t.true(packages.length >= 10);
	for (const { name, dir, files } of packages) {
		const wrong = files.filter((path) =>
			/(^|\/)(stand-in|make-believe)|\.so$|\.test\.|^src\//.test(path),
		);
		t.deepEqual(wrong, [], name);
		// as a path, not in a comment
		for (const path of files.filter((f) => f.endsWith(".js")))
			t.notRegex(
				await readFile(join(dir, path), "utf8"),
				/["'`/](stand-in|make-believe)["'`/]/,
				`${name} ${path}`,
			);
	}
	const runtime = packages.find((p) => p.name === "@wattvox/runtime");
	const sources = await readdir(join(ROOT, "toolkit/runtime/native"));
	t.deepEqual(
		runtime?.files.filter((path) => path.startsWith("native/")).toSorted(),
		sources.map((file) => `native/${file}`).toSorted(),
	);
	t.false(runtime?.files.includes("dist/testing.js"));
});
