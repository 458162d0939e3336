import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import {
	checkFolder,
	devicePackages,
	fetched,
	type PackageCheck,
	readLock,
} from "./arm64/check.ts";

// `npm run arm64`: whether all that a device installs is there for 64-bit ARM Linux and loads on
// JetPack 5's C library, as far as ELF headers tell. Packages that npm does not install on this machine
// are fetched, looked at and thrown away. Exits with 1 when anything does not fit.
const root = fileURLToPath(new URL("../..", import.meta.url));
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
