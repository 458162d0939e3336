import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { asWattvoxError, catchInterrupts } from "@wattvox/core";
import {
	checkFolder,
	devicePackages,
	fetched,
	type PackageCheck,
	readLock,
} from "./arm64/check.ts";
import type { EmulationOptions } from "./arm64/emulation.ts";

const HELP = `npm run arm64                                  looks at packages and ELF headers (below)
npm run arm64 -- --emulate ARCHIVE [options]   tries an archive of \`npm run pack:agent\` under qemu-user

  Without options: whether all that a device installs is there for 64-bit ARM Linux, and loads on
  JetPack 5's C library as far as ELF headers tell.

  --emulate runs Node, the agent's commands and the agent itself at a broker on loopback, until a voice
  of the shipped base was pulled, passed its trial and spoke; what it says is compared with what this
  machine says. Each step is printed with what was found; ends with 1 when one failed. Wants Debian's
  qemu-user-static; libraries come from Debian 11's arm64 packages (C library 2.31, as JetPack 5) into a
  folder that is thrown away after. Takes three to eight minutes; its times say nothing about a device.

  --cpu NAME     cortex-a76 (default; near Jetson Orin's), neoverse-n1, or max: all that QEMU
                 has, with which the trial has not ended in time yet
  --mirror URL   that has Debian's bullseye (default http://deb.debian.org/debian)

  npm run pack:agent && npm run arm64 -- --emulate wattvox-agent-linux-arm64.tar.gz
`;

// `npm run arm64`: whether all that a device installs is there for 64-bit ARM Linux and loads on
// JetPack 5's C library, as far as ELF headers tell. Packages that npm does not install on this machine
// are fetched, looked at and thrown away. Exits with 1 when anything does not fit.
const root = fileURLToPath(new URL("../..", import.meta.url));

try {
	const { values } = parseArgs({
		options: {
			emulate: { type: "string" },
			cpu: { type: "string", default: "cortex-a76" },
			mirror: { type: "string", default: "http://deb.debian.org/debian" },
			help: { type: "boolean", short: "h", default: false },
		},
	});
	if (values.help) process.stdout.write(HELP);
	else if (values.emulate !== undefined)
		await tryArchive(values.emulate, values);
	else await checkPackages();
} catch (thrown) {
	const error = asWattvoxError(thrown);
	console.error(`${error.code}: ${error.message}`);
	process.exitCode = error.exit;
}

async function tryArchive(
	archive: string,
	{ cpu, mirror }: EmulationOptions,
): Promise<void> {
	const { emulate } = await import("./arm64/emulate.ts");
	const interrupts = catchInterrupts();
	try {
		const all = await emulate(
			archive,
			{ cpu, mirror },
			({ what, ok, found, seconds }) => {
				const how = ok ? "runs" : "FAILS";
				console.log(`${what}: ${how} (${seconds.toFixed(0)} s) ${found}`);
			},
			interrupts.signal,
		);
		if (all.some((tried) => !tried.ok)) process.exitCode = 1;
	} finally {
		interrupts.stop();
	}
}

async function checkPackages(): Promise<void> {
	const { wanted, barred } = devicePackages(
		await readLock(`${root}/package-lock.json`),
	);
	let unfit = barred.length;
	for (const { name, entry } of barred)
		console.log(`${name} ${entry.version}: not for 64-bit ARM Linux`);
	for (const { name, path, entry } of wanted) {
		const version = entry.version ?? "";
		const here = `${root}/${path}`;
		const files: PackageCheck["files"] | undefined = existsSync(here)
			? await checkFolder(here)
			: await fetched(name, version, checkFolder);
		if (!files) continue;
		if (files.length === 0) {
			unfit++;
			console.log(
				`${name} ${version}: machine code, but none for 64-bit ARM Linux`,
			);
		}
		for (const { path: file, why } of files) {
			if (why.length) unfit++;
			console.log(`${name} ${version} ${file}: ${why.join("; ") || "fits"}`);
		}
	}
	console.log(
		unfit
			? `${unfit} of ${wanted.length + barred.length} packages do not fit`
			: `${wanted.length} packages, all fit JetPack 5`,
	);
	process.exitCode = unfit ? 1 : 0;
}
