import { execFile } from "node:child_process";
import {
	chmod,
	mkdir,
	mkdtemp,
	readdir,
	readFile,
	readlink,
	rm,
	stat,
	utimes,
	writeFile,
} from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import test, { type ExecutionContext } from "ava";

const run = promisify(execFile);
const SCRIPT = fileURLToPath(
	new URL("../../jetson-install.sh", import.meta.url),
);
const UNIT = fileURLToPath(
	new URL(
		"../../../device-agent/systemd/wattvox-agent.service",
		import.meta.url,
	),
);

/** A root folder to install into, with a systemctl that only writes down what it is told. */
async function house(t: ExecutionContext) {
	const dir = await mkdtemp(join(tmpdir(), "wattvox-install-"));
	t.teardown(() => rm(dir, { recursive: true, force: true }));
	const at = (...parts: string[]) => join(dir, ...parts);
	await mkdir(at("bin"));
	await writeFile(
		at("bin/systemctl"),
		`#!/bin/sh\necho "$@" >>'${at("log")}'\n`,
	);
	await chmod(at("bin/systemctl"), 0o755);
	const script = async (...args: string[]) => {
		const env = {
			PATH: `${at("bin")}:${process.env.PATH}`,
			WATTVOX_ROOT: at("root"),
		};
		try {
			const { stdout } = await run("/bin/sh", [SCRIPT, ...args], { env });
			return { code: 0, text: stdout };
		} catch (thrown) {
			const { code, stderr, stdout } = thrown as {
				code: number;
				stderr: string;
				stdout: string;
			};
			return { code, text: stdout + stderr };
		}
	};
	/** An archive as `npm run pack:agent` makes it, with a program that says its version. */
	const archive = async (version: string, lacks?: string) => {
		const top = at(`src-${version}`, "wattvox-agent");
		await mkdir(join(top, "bin"), { recursive: true });
		await mkdir(join(top, "node_modules/.bin"), { recursive: true });
		const files: Record<string, string> = {
			VERSION: `${version}\n`,
			"bin/node": "#!/bin/sh\n",
			"node_modules/.bin/wattvox-agent": `#!/bin/sh
echo ${version} "$@"
[ "$1" != shim ] || { [ ! -e "$WATTVOX_ROOT/no-device" ] && echo ${version} >"$3"; }
`,
			"wattvox-agent.service": await readFile(UNIT, "utf8"),
		};
		for (const [name, text] of Object.entries(files))
			if (name !== lacks)
				await writeFile(join(top, name), text, { mode: 0o755 });
		const path = at(`agent-${version}.tar.gz`);
		await run("tar", [
			"-czf",
			path,
			"-C",
			at(`src-${version}`),
			"wattvox-agent",
		]);
		const { stdout } = await run("sha256sum", [`agent-${version}.tar.gz`], {
			cwd: dir,
		});
		await writeFile(`${path}.sha256`, stdout);
		return path;
	};
	return { at, script, archive, log: () => readFile(at("log"), "utf8") };
}

test("installing, again, and a newer one: settings stay, the one before stays", async (t) => {
	const { at, script, archive, log } = await house(t);
	const first = await archive("1.0.0");
	const installed = await script("install", first);
	t.is(installed.code, 0, installed.text);
	t.regex(installed.text, /installed. Fill in/);
	t.is((await stat(at("root/etc/wattvox/agent.env"))).mode & 0o777, 0o600);
	t.regex(await log(), /--root=\S+ enable wattvox-agent/);
	const current = await readlink(at("root/opt/wattvox/current"));
	t.is(
		await readFile(at("root/opt/wattvox", current, "VERSION"), "utf8"),
		"1.0.0\n",
	);
	t.is(
		await readFile(at("root/etc/systemd/system/wattvox-agent.service"), "utf8"),
		await readFile(UNIT, "utf8"),
	);

	const settings = "WATTVOX_AGENT_ARGS=--fleet home --device kitchen\n";
	await writeFile(at("root/etc/wattvox/agent.env"), settings);
	t.is((await script("install", first)).code, 0);
	t.is(await readlink(at("root/opt/wattvox/current")), current);
	t.is(await readFile(at("root/etc/wattvox/agent.env"), "utf8"), settings);

	for (const version of ["1.1.0", "1.2.0"]) {
		const next = await script("install", await archive(version));
		t.is(next.code, 0, next.text);
		t.regex(next.text, new RegExp(`agent ${version}: running`));
	}
	const left = await readdir(at("root/opt/wattvox/releases"));
	t.is(left.length, 2, "the newest and the one before it");
	t.false(left.includes(current.split("/")[1] as string));
	t.deepEqual((await readdir(at("root/opt/wattvox"))).toSorted(), [
		"current",
		"releases",
	]);
});

test("where TensorRT's headers are, the shim is compiled once, and again when they change; the service gets at the GPU", async (t) => {
	const { at, script, archive } = await house(t);
	await mkdir(at("root/etc/wattvox"), { recursive: true });
	await writeFile(at("root/etc/wattvox/agent.env"), "WATTVOX_AGENT_ARGS=-x\n");
	await writeFile(
		at("root/etc/group"),
		"root:x:0:\nvideo:x:44:\nrendering:x:1:\n",
	);
	const first = await archive("1.0.0");
	t.regex((await script("install", first)).text, /no TensorRT headers/);

	const include = at("root/usr/include/aarch64-linux-gnu");
	await mkdir(include, { recursive: true });
	await writeFile(join(include, "NvInfer.h"), "");
	await writeFile(at("root/no-device"), "");
	const without = await script("install", first);
	t.is(without.code, 0, without.text);
	t.regex(without.text, /no TensorRT shim: voices speak on ONNX Runtime/);
	const dropIn = at(
		"root/etc/systemd/system/wattvox-agent.service.d/tensorrt.conf",
	);
	await t.throwsAsync(readFile(dropIn), { code: "ENOENT" });
	await rm(at("root/no-device"));

	const lib = at("root/opt/wattvox/current/libwattvox_trt.so");
	t.regex((await script("install", first)).text, /compiling the TensorRT shim/);
	t.is(await readFile(lib, "utf8"), "1.0.0\n");
	t.is(
		await readFile(dropIn, "utf8"),
		"[Service]\nSupplementaryGroups=video\nMemoryHigh=3G\nTasksMax=512\n",
	);
	t.notRegex((await script("install", first)).text, /compiling/);

	// Another JetPack: what it unpacks may bear any date.
	await rm(join(include, "NvInfer.h"));
	await writeFile(join(include, "NvInfer.h"), "newer");
	await utimes(join(include, "NvInfer.h"), 1, 1);
	t.regex((await script("install", first)).text, /compiling/);
	t.regex(
		(await script("install", await archive("1.1.0"))).text,
		/compiling/,
		"another release has a shim of its own",
	);
	t.is(await readFile(lib, "utf8"), "1.1.0\n");
	t.is((await script("uninstall")).code, 0);
	t.deepEqual(await readdir(at("root/etc/systemd/system")), []);
});

test("an archive that is damaged, or none, changes nothing", async (t) => {
	const { at, script, archive } = await house(t);
	t.is((await script("install", await archive("1.0.0"))).code, 0);
	const before = await readlink(at("root/opt/wattvox/current"));
	const damaged = await archive("1.1.0");
	const bytes = await readFile(damaged);
	bytes.writeUInt8(bytes.readUInt8(40) ^ 1, 40);
	await writeFile(damaged, bytes);
	const why = await script("install", damaged);
	t.is(why.code, 1);
	t.regex(why.text, /is not what .*sha256 says/);
	await rm(`${damaged}.sha256`);
	t.is((await script("install", damaged)).code, 1);
	for (const lacks of ["VERSION", "bin/node"]) {
		const other = await script(
			"install",
			await archive(`2-${lacks.replace("/", "-")}`, lacks),
		);
		t.is(other.code, 1);
		t.regex(other.text, /it lacks/);
	}
	t.is((await script("install", at("none.tar.gz"))).code, 1);
	t.is(await readlink(at("root/opt/wattvox/current")), before);
	t.is((await script("install")).code, 2);
	t.is((await script("fly")).code, 2);
	t.is((await script("uninstall", "--all")).code, 2);
	const help = (await script("--help")).text;
	t.regex(help, /^Installs, updates or removes/);
	t.regex(
		help,
		/being built\)\.\n$/,
		"the comment at its head and nothing else",
	);
});

test("uninstalling leaves voices and settings; --purge does not", async (t) => {
	const { at, script, archive } = await house(t);
	const there = async () =>
		(await readdir(at("root"), { recursive: true, withFileTypes: true }))
			.filter((e) => !e.isDirectory())
			.map((e) => e.name);
	t.is((await script("install", await archive("1.0.0"))).code, 0);
	await mkdir(at("root/var/lib/wattvox"), { recursive: true });
	await writeFile(at("root/var/lib/wattvox/active.json"), "{}");
	t.is((await script("uninstall")).code, 0);
	t.deepEqual((await there()).toSorted(), ["active.json", "agent.env"]);
	t.is((await script("uninstall", "--purge")).code, 0);
	t.deepEqual(await there(), []);
	t.is((await script("uninstall")).code, 0, "also when nothing is there");
});

test("the unit keeps neither devices nor compiled code from the agent", async (t) => {
	const lines = (await readFile(UNIT, "utf8")).split("\n");
	const set = lines.filter((line) => /^[A-Z]/.test(line));
	// each of these lets a service at no device but /dev/null and the like: no sound card, no GPU.
	// ProtectClock= does so by the way, since it allows the clock's device alone.
	for (const option of [
		...["PrivateDevices", "ProtectClock", "DeviceAllow", "DevicePolicy"],
		// V8 writes machine code while it runs
		"MemoryDenyWriteExecute",
	])
		t.deepEqual(
			set.filter((line) => line.startsWith(`${option}=`)),
			[],
			option,
		);
	// what ProtectClock= is for
	t.true(set.includes("CapabilityBoundingSet="));
});
