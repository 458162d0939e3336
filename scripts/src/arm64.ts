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

const HELP = `npm run arm64                        looks at packages and ELF headers (below)
npm run arm64 -- --emulate ARCHIVE   tries an archive of \`npm run pack:agent\` under qemu-user

  Without options: whether all that a device installs is there for 64-bit ARM Linux, and loads on
  JetPack 5's C library as far as ELF headers tell.

  --emulate runs Node, the agent's commands and the agent itself at a broker on loopback, and says of
  each step how far it came. Wants Debian's qemu-user-static; libraries come from Debian's arm64
  packages into a folder that is thrown away after. Takes minutes. ONNX Runtime crashes under qemu-user:
  steps that compute are told apart, and do not count as failures.
`;

// `npm run arm64`: whether all that a device installs is there for 64-bit ARM Linux and loads on
// JetPack 5's C library, as far as ELF headers tell. Packages that npm does not install on this machine
// are fetched, looked at and thrown away. Exits with 1 when anything does not fit.
const root = fileURLToPath(new URL("../..", import.meta.url));

try {
	const { values } = parseArgs({
		options: {
			emulate: { type: "string" },
			help: { type: "boolean", short: "h", default: false },
		},
	});
	if (values.help) process.stdout.write(HELP);
	else if (values.emulate !== undefined) await tryArchive(values.emulate);
	else await checkPackages();
} catch (thrown) {
	const error = asWattvoxError(thrown);
	console.error(`${error.code}: ${error.message}`);
	process.exitCode = error.exit;
}

async function tryArchive(archive: string): Promise<void> {
	const { emulate } = await import("./arm64/emulate.ts");
	const interrupts = catchInterrupts();
	try {
		const all = await emulate(
			archive,
			({ what, ok, computes, found, seconds }) => {
				const how = ok ? "runs" : computes ? "DOES NOT COMPUTE" : "FAILS";
				console.log(`${what}: ${how} (${seconds.toFixed(0)} s) ${found}`);
			},
			interrupts.signal,
		);
		if (all.some((tried) => !tried.ok && !tried.computes)) process.exitCode = 1;
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
