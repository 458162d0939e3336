import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { loadTrust, RootTrust } from "@wattvox/bundle";
import test from "ava";
import { cli } from "../testing.ts";

test("keys rotate makes a root, then the next one; devices follow from the first", async (t) => {
	const dir = await mkdtemp(join(tmpdir(), "wattvox-keys-"));
	t.teardown(() => rm(dir, { recursive: true }));
	const ids: Record<string, string> = {};
	for (const name of ["root", "release", "fleet", "fresh"]) {
		const made = await cli(["keys", "new", join(dir, name), "--json"]);
		ids[name] = (made.json as { id: string }).id;
	}
	const root = join(dir, "root.json");
	const file = (name: string) => join(dir, name);
	const rotate = (...more: string[]) =>
		cli([
			"keys",
			"rotate",
			root,
			"--sign",
			file("root.key"),
			"--json",
			...more,
		]);
	const first = await rotate(
		...["--add", `root=${file("root.pub")}`],
		...["--add", `release=${file("release.pub")}`],
		...["--add", `fleet=${file("fleet.pub")}`],
	);
	t.is(first.code, 0, first.err);
	t.like(first.json, { version: 1 });
	const given = await readFile(root);
	const device = await loadTrust([root]);
	t.truthy(device.find(ids.release ?? "", "manifest"));

	const second = await rotate(
		...["--remove", `release=${ids.release?.slice(0, 12)}`],
		...["--add", `release=${file("fresh.pub")}`],
	);
	t.is(second.code, 0, second.err);
	t.like(second.json, { version: 2 });
	const later = RootTrust.open(given);
	t.true(later.update(await readFile(root)));
	t.is(later.find(ids.release ?? "", "manifest"), undefined);
	t.truthy(later.find(ids.fresh ?? "", "manifest"));

	// neither a stranger's signature nor nonsense changes the file
	const before = await readFile(root);
	const fresh = ids.fresh?.slice(0, 16);
	const bad: [string[], RegExp][] = [
		[
			["--sign", file("fleet.key"), "--remove", `root=${file("root.pub")}`],
			/E_FILE_FORMAT/,
		],
		[
			["--remove", "release=ffffffffffff"],
			new RegExp(
				`no release key begins with "ffffffffffff": there are ${fresh}`,
			),
		],
		[["--add", "king=k.pub"], /E_USAGE/],
		[["--threshold", "3"], /fewer root keys than the threshold/],
	];
	const plain = ["keys", "rotate", root, "--sign"];
	for (const [more, why] of bad) {
		const refused = await cli([...plain, file("root.key"), ...more]);
		t.not(refused.code, 0, more.join(" "));
		t.regex(refused.err, why);
	}
	const other = await cli([
		...[...plain, file("fleet.key")],
		...["--add", `builder=${file("fresh.pub")}`],
	]);
	t.is(other.code, 4);
	const whose = `1 of root 2's root keys \\(${ids.root?.slice(0, 16)}\\) must sign, and 0`;
	t.regex(other.err, new RegExp(`E_KEY: ${whose}`));
	t.deepEqual(await readFile(root), before);
});

test("keys acl holds each device to its own topics", async (t) => {
	const all = await cli(["keys", "acl", "--fleet", "home"]);
	t.is(all.code, 0);
	t.regex(all.out, /^pattern read wattvox\/v1\/home\/%u\/desired$/m);
	const two = await cli(["keys", "acl", "--fleet", "home", "--device", "k"]);
	t.regex(two.out, /^user k\ntopic write wattvox\/v1\/home\/k\/presence$/m);
	t.notRegex(two.out, /pattern/);
	const station = await cli(
		["keys", "acl", "--fleet", "home"].concat(["--station", "bench"]),
	);
	t.regex(
		station.out,
		/user bench\ntopic write wattvox\/v1\/home\/bench\/offer\ntopic write wattvox\/v1\/home\/bench\/upload\n/,
	);
	t.notRegex(all.out, /write [^ ]*%u\/(offer|upload)/);
	t.is((await cli(["keys", "acl", "--fleet", "a/b"])).code, 2);
	const named = ["keys", "acl", "--fleet", "home", "--device", "server"];
	const refused = await cli(named);
	t.is(refused.code, 2);
	t.regex(refused.err, /no device may be called server/);
});
