import {
	copyFile,
	mkdir,
	mkdtemp,
	readFile,
	rm,
	writeFile,
} from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";
import { writeWav } from "@wattvox/speech";
import test from "ava";
import { checkMachineCode } from "../pack-agent/pack.ts";
import { checkFolder, devicePackages, machineCode, readLock } from "./check.ts";
import { closure, type LockEntry, onLinuxArm64 } from "./closure.ts";
import { cpuinfo } from "./cpuinfo.ts";
import { elfNeeds, unfitForJetPack5 } from "./elf.ts";
import { emulate } from "./emulate.ts";
import { soundDifference } from "./same-sound.ts";

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

test("an archive with machine code that JetPack 5 would not load is not made", async (t) => {
	const dir = await mkdtemp(join(tmpdir(), "wattvox-code-"));
	t.teardown(() => rm(dir, { recursive: true, force: true }));
	const release = join(dir, "release");
	const modules = join(release, "node_modules/onnxruntime-node/bin");
	await mkdir(modules, { recursive: true });
	for (const name of ["libonnxruntime.so.1", "onnxruntime_binding.node"])
		await copyFile(`${ORT}/arm64/${name}`, join(modules, name));
	await writeFile(join(modules, "readme.so.1"), "no ELF");
	await checkMachineCode(release);
	t.deepEqual(
		(await machineCode(release)).map(({ path }) => basename(path)).toSorted(),
		["libonnxruntime.so.1", "onnxruntime_binding.node"],
	);
	// one of musl's is never loaded where glibc is
	await mkdir(join(release, "musl_arm64"));
	await copyFile(
		`${ORT}/x64/libonnxruntime.so.1`,
		join(release, "musl_arm64/it.node"),
	);
	await checkMachineCode(release);
	// a program has no ending by which it could be told
	await mkdir(join(release, "bin"));
	const library = `${ORT}/x64/libonnxruntime.so.1`;
	await copyFile(library, join(release, "bin/node"));
	await t.throwsAsync(checkMachineCode(release), {
		code: "E_FILE_FORMAT",
		message: /bin\/node is made for x86-64/,
	} as never);
	// without its library, the binding does not load
	await rm(join(release, "bin"), { recursive: true });
	await rm(join(modules, "libonnxruntime.so.1"));
	await t.throwsAsync(checkMachineCode(release), {
		message: /binding\.node loads libonnxruntime\.so\.1, which neither/,
	});
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

test("an emulated processor says in /proc/cpuinfo which of Arm's it is, once for each", (t) => {
	const blocks = cpuinfo("cortex-a76", 2).trimEnd().split("\n\n");
	t.is(blocks.length, 2);
	for (const [i, block] of blocks.entries()) {
		const said = new Map(
			block.split("\n").map((line) => line.split(/\s*: /) as [string, string]),
		);
		t.is(said.get("processor"), String(i));
		// Linux reads both off MIDR_EL1, whose bits 31-24 and 15-4 they are
		t.is(said.get("CPU implementer"), "0x41");
		t.is(said.get("CPU part"), "0xd0b");
		t.is(said.get("CPU architecture"), "8");
	}
	t.regex(cpuinfo("max", 1), /^CPU part\t: 0x051$/m);
	for (const unknown of ["", "carmel", "toString"])
		t.throws(() => cpuinfo(unknown, 1), { code: "E_USAGE" } as never);
});

test("two sounds are compared sample by sample, not heard as one when a sample is missing", (t) => {
	const sine = Float32Array.from({ length: 800 }, (_, i) => Math.sin(i / 7));
	const one = writeWav(sine, 16000);
	t.deepEqual(soundDifference(one, one), {
		samples: 800,
		steps: 0,
		snrDb: Infinity,
	});
	const near = soundDifference(
		writeWav(
			sine.map((x) => x * 0.999),
			16000,
		),
		one,
	);
	t.is(near.steps, 33, "a thousandth of full scale");
	t.true(Math.abs(near.snrDb - 60) < 0.1);
	// silence is as far from a sound as the sound is loud
	const far = soundDifference(writeWav(new Float32Array(800), 16000), one);
	t.is(far.snrDb, 0);
	for (const other of [
		writeWav(sine.subarray(1), 16000),
		writeWav(sine, 8000),
		writeWav(new Float32Array(0), 16000),
	])
		t.throws(() => soundDifference(other, one), { code: "E_GOLDEN" } as never);
});

// the trial itself takes minutes: `npm run arm64 -- --emulate`
test("without an archive, or without qemu, nothing is tried under emulation", async (t) => {
	const never = new AbortController().signal;
	const options = { cpu: "cortex-a76", mirror: "http://127.0.0.1:1/" };
	await t.throwsAsync(
		emulate(`${root}/none.tar.gz`, options, () => t.fail(), never),
		{ code: "E_FILE_MISSING" } as never,
	);
});
