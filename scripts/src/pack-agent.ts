import { parseArgs } from "node:util";
import { asWattvoxError, WattvoxError } from "@wattvox/core";
import { packAgent } from "./pack-agent/pack.ts";

const HELP = `npm run pack:agent -- [--out FILE] [--cpu arm64|x64]

  One archive with all that a device needs: Node, the agent, ONNX Runtime. scripts/jetson-install.sh
  installs it there, with no network and no compiler. Packages come from npm's registry, as the lock
  file names them; no install script of theirs runs.

  --out FILE   wattvox-agent-linux-CPU.tar.gz by default; its SHA-256 is written beside it
  --cpu CPU    arm64 (default), or x64 to try it on a desk
`;

try {
	const { values } = parseArgs({
		options: {
			out: { type: "string" },
			cpu: { type: "string", default: "arm64" },
			help: { type: "boolean", short: "h", default: false },
		},
	});
	const { cpu, help } = values;
	if (cpu !== "arm64" && cpu !== "x64")
		throw new WattvoxError("E_USAGE", `--cpu ${cpu}: arm64 or x64`);
	if (help) process.stdout.write(HELP);
	else {
		const out = values.out ?? `wattvox-agent-linux-${cpu}.tar.gz`;
		const { bytes, sha256 } = await packAgent(out, cpu, (line) =>
			process.stderr.write(`${line}\n`),
		);
		console.log(`${out}: ${(bytes / 1e6).toFixed(0)} MB, SHA-256 ${sha256}`);
	}
} catch (thrown) {
	const error = asWattvoxError(thrown);
	console.error(`${error.code}: ${error.message}`);
	process.exitCode = error.exit;
}
