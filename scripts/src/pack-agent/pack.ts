import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import {
	access,
	cp,
	mkdir,
	mkdtemp,
	readdir,
	readFile,
	rename,
	rm,
	stat,
	writeFile,
} from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { pipeline } from "node:stream/promises";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { WattvoxError } from "@wattvox/core";
import { devicePackages, machineCode, readLock } from "../arm64/check.ts";

const run = promisify(execFile);
const root = fileURLToPath(new URL("../../..", import.meta.url));

/** The Node that devices get: the newest of a line that is maintained until April 2027. */
export const DEVICE_NODE = "22.23.3";

/**
 * Makes one archive with Node, the agent and everything that it depends on, for 64-bit Linux on the
 * given processor. Versions are the lock file's; `npm` checks each package's digest.
 * @throws WattvoxError E_FILE_MISSING, with npm's words, when a package cannot be had
 */
export async function packAgent(
	out: string,
	cpu: "arm64" | "x64",
	say: (line: string) => void,
): Promise<{ bytes: number; sha256: string }> {
	const dir = await mkdtemp(join(tmpdir(), "wattvox-pack-"));
	try {
		const release = join(dir, "wattvox-agent");
		await lay(release, cpu, say);
		say("writing the archive");
		const path = resolve(out);
		await mkdir(dirname(path), { recursive: true });
		// Owners and times do not tell builds apart.
		await run("tar", [
			...["--sort=name", "--owner=0", "--group=0", "--numeric-owner"],
			...["--mtime=@0", "-czf", `${path}.part`, "-C", dir, "wattvox-agent"],
		]);
		const hash = createHash("sha256");
		await pipeline(createReadStream(`${path}.part`), hash);
		const sha256 = hash.digest("hex");
		await writeFile(`${path}.sha256`, `${sha256}  ${path.split("/").at(-1)}\n`);
		await rename(`${path}.part`, path);
		return { bytes: (await stat(path)).size, sha256 };
	} finally {
		await rm(dir, { recursive: true, force: true });
	}
}

async function lay(
	release: string,
	cpu: "arm64" | "x64",
	say: (line: string) => void,
): Promise<void> {
	await mkdir(join(release, "bin"), { recursive: true });
	const lock = await readLock(join(root, "package-lock.json"));
	const { wanted } = devicePackages(lock);
	const folders = [
		"device-agent",
		...wanted
			.filter((p) => !p.path.includes("node_modules/"))
			.map((p) => p.path),
	];
	say(`packing ${folders.length} packages of our own`);
	const tarballs = join(release, "own");
	await mkdir(tarballs);
	await run(
		"npm",
		[
			"pack",
			"--silent",
			"--pack-destination",
			tarballs,
			...folders.map((f) => `./${f}`),
		],
		{ cwd: root },
	);
	say("fetching theirs");
	// The lock file's versions, exactly: a device runs what was tested.
	const exact = Object.fromEntries(
		wanted
			.filter((p) => p.path.lastIndexOf("node_modules/") === 0)
			.map((p) => [p.name, p.entry.version as string]),
	);
	const files = await readdir(tarballs);
	await writeFile(
		join(release, "package.json"),
		JSON.stringify({
			name: "wattvox-device",
			private: true,
			dependencies: Object.fromEntries(
				files.map((f) => [
					`@wattvox/${f.replace(/^wattvox-(.+)-\d+\.\d+\.\d+\.tgz$/, "$1")}`,
					`file:own/${f}`,
				]),
			),
			overrides: exact,
		}),
	);
	await npm(release, cpu, [
		"install",
		...["--omit=dev", "--ignore-scripts", "--no-audit", "--no-fund"],
	]);
	await rm(tarballs, { recursive: true });
	await dropOtherPlatforms(join(release, "node_modules"), cpu);
	say(`fetching Node ${DEVICE_NODE}`);
	const node = join(release, "node");
	await mkdir(node);
	await run("npm", ["pack", "--silent", `node-linux-${cpu}@${DEVICE_NODE}`], {
		cwd: node,
	});
	await run("tar", ["-xzf", (await readdir(node))[0] as string], { cwd: node });
	await cp(join(node, "package/bin/node"), join(release, "bin/node"));
	await cp(join(node, "package/LICENSE"), join(release, "NODE-LICENSE")).catch(
		() => undefined,
	);
	await rm(node, { recursive: true });
	await cp(
		join(root, "device-agent/systemd/wattvox-agent.service"),
		join(release, "wattvox-agent.service"),
	);
	const { version } = JSON.parse(
		await readFile(join(root, "device-agent/package.json"), "utf8"),
	);
	await writeFile(join(release, "VERSION"), `${version} linux-${cpu}\n`);
	if (cpu === "arm64") await checkMachineCode(release);
}

/** @throws WattvoxError E_FILE_FORMAT that names what would not load on JetPack 5 */
export async function checkMachineCode(release: string): Promise<void> {
	const found = await machineCode(release);
	const unfit = found.flatMap(({ path, why }) =>
		why.map((one) => `${path} ${one}`),
	);
	if (unfit.length)
		throw new WattvoxError(
			"E_FILE_FORMAT",
			`not for JetPack 5: ${unfit.join("; ")}`,
		);
}

/** npm as it would be on the device. */
async function npm(
	cwd: string,
	cpu: "arm64" | "x64",
	args: readonly string[],
): Promise<void> {
	await run(
		"npm",
		[...args, "--silent", "--os=linux", `--cpu=${cpu}`, "--libc=glibc"],
		{ cwd, maxBuffer: 64e6 },
	).catch((cause) => {
		throw new WattvoxError("E_FILE_MISSING", `npm: ${cause.stderr}`, { cause });
	});
}

/** ONNX Runtime's package brings its libraries for six platforms: a device wants one. */
async function dropOtherPlatforms(
	modules: string,
	cpu: "arm64" | "x64",
): Promise<void> {
	const bin = join(modules, "onnxruntime-node/bin");
	for (const entry of await readdir(bin, { recursive: true })) {
		const [, system, processor] = entry.split("/");
		const gone =
			(system !== undefined && system !== "linux") ||
			(processor !== undefined && processor !== cpu);
		if (gone) await rm(join(bin, entry), { recursive: true, force: true });
	}
	const library = join(bin, `napi-v6/linux/${cpu}/libonnxruntime.so.1`);
	await access(library).catch(() => {
		throw new WattvoxError("E_FILE_MISSING", `no ONNX Runtime for ${cpu}`);
	});
}
