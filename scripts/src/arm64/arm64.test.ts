import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import test from "ava";
import { checkFolder, devicePackages, readLock } from "./check.ts";
import { closure, type LockEntry, onLinuxArm64 } from "./closure.ts";
import { elfNeeds, unfitForJetPack5 } from "./elf.ts";
import { emulate } from "./emulate.ts";

const root = fileURLToPath(new URL("../../..", import.meta.url));
const ORT = `${root}/node_modules/onnxruntime-node/bin/napi-v6/linux`;

test("all that a device installs is there for 64-bit ARM Linux, machine code too", async (t) => {
	const { wanted, barred } = devicePackages(
		await readLock(`${root}/package-lock.json`),
	);
	t.deepEqual(
		barred.map((p) => p.name),
		[],
	);
	const names = wanted.map((p) => p.name);
	t.true(names.includes("onnxruntime-node") && names.includes("mqtt"));
	// A package whose machine code comes in packages by platform has one for this platform.
	const lock = await readLock(`${root}/package-lock.json`);
	const platforms = closure(lock, "device-agent").filter((p) => p.entry.cpu);
	const families = new Set(
		platforms.map((p) => p.name.replace(/-[^-]+-[^-]+$/, "")),
	);
	for (const family of families)
		t.true(
			wanted.some((p) => p.entry.cpu && p.name.startsWith(family)),
			family,
		);
	// Trainer, fleet server and weights stay in the cloud.
	for (const cloud of [
		"@duckdb/node-api",
		"pg",
		"node-cron",
		"@wattvox/models",
	])
		t.false(names.includes(cloud), cloud);
});

test("ONNX Runtime's libraries load on JetPack 5, as far as their headers tell", async (t) => {
	const files = await checkFolder(`${root}/node_modules/onnxruntime-node`);
	t.deepEqual(files?.map((f) => f.path.split("/").at(-1)).toSorted(), [
		"libonnxruntime.so.1",
		"onnxruntime_binding.node",
	]);
	for (const { path, why } of files ?? []) t.deepEqual(why, [], path);
});

test("a library of another processor, or one that asks for newer symbols, is found out", async (t) => {
	const needs = elfNeeds(await readFile(`${ORT}/arm64/libonnxruntime.so.1`));
	t.is(needs.machine, "aarch64");
	t.true(needs.libraries.includes("libc.so.6"));
	t.true(needs.versions.get("libc.so.6")?.includes("GLIBC_2.17"));
	t.deepEqual(unfitForJetPack5(needs, []), []);
	const with_ = (name: string) =>
		unfitForJetPack5(
			{ ...needs, versions: new Map([["libc.so.6", [name]]]) },
			[],
		);
	t.deepEqual(with_("GLIBC_2.31"), []);
	t.deepEqual(with_("GLIBC_2.32"), ["asks libc.so.6 for GLIBC_2.32"]);
	t.deepEqual(with_("GLIBC_2.4"), [], "2.4 is older than 2.31");
	t.is(with_("GLIBC_PRIVATE").length, 1);
	t.deepEqual(unfitForJetPack5({ ...needs, libraries: ["libssl.so.3"] }, []), [
		"loads libssl.so.3, which neither the system nor its package has",
	]);
	t.deepEqual(
		unfitForJetPack5({ ...needs, libraries: ["libx.so.1"] }, ["libx.so.1"]),
		[],
	);
	const x64 = elfNeeds(await readFile(`${ORT}/x64/libonnxruntime.so.1`));
	t.true(unfitForJetPack5(x64, []).includes("is made for x86-64"));
	t.throws(() => elfNeeds(new TextEncoder().encode("#!/bin/sh\necho no ELF")), {
		code: "E_FILE_FORMAT",
	} as never);
	const cut = (
		await readFile(`${ORT}/arm64/onnxruntime_binding.node`)
	).subarray(0, 700);
	t.throws(() => elfNeeds(cut), { code: "E_FILE_FORMAT" } as never);
});

test("packages are found as npm resolves them, and platforms as npm judges them", (t) => {
	const lock: Record<string, LockEntry> = {
		agent: { dependencies: { a: "1" }, optionalDependencies: { native: "1" } },
		"agent/node_modules/a": { version: "2", dependencies: { b: "1" } },
		"node_modules/a": { version: "1" },
		"node_modules/b": { link: true, resolved: "packages/b" },
		"packages/b": { version: "1", dependencies: { a: "1" } },
		"node_modules/native": { version: "1", cpu: ["x64"], os: ["linux"] },
		"node_modules/unused": { version: "1" },
	};
	t.deepEqual(
		closure(lock, "agent")
			.map((p) => [p.path, p.optional])
			.toSorted(),
		[
			["agent/node_modules/a", false],
			["node_modules/a", false],
			["node_modules/native", true],
			["packages/b", false],
		],
	);
	t.throws(() => closure({ agent: { dependencies: { gone: "1" } } }, "agent"), {
		message: /lacks gone for agent/,
	});
	t.true(onLinuxArm64({ os: ["!win32"], cpu: ["arm64", "x64"] }));
	t.false(onLinuxArm64({ os: ["darwin"] }));
	t.false(onLinuxArm64({ cpu: ["!arm64"] }));
	t.false(onLinuxArm64({ libc: ["musl"] }));
});

// the trial itself takes minutes: `npm run arm64 -- --emulate`
test("without an archive, or without qemu, nothing is tried under emulation", async (t) => {
	const never = new AbortController().signal;
	await t.throwsAsync(
		emulate(`${root}/none.tar.gz`, () => t.fail(), never),
		{ code: "E_FILE_MISSING" } as never,
	);
});
