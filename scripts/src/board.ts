import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import {
	asWattvoxError,
	catchInterrupts,
	table,
	WattvoxError,
} from "@wattvox/core";
import { tryBoard } from "./board/try-board.ts";

const HELP = `npm run board -- ARCHIVE [options]

  Tries an archive of \`npm run pack:agent\`, scripts/jetson-install.sh and the systemd unit on a Debian 11
  (C library 2.31, as JetPack 5; systemd 247), which runs for this machine's processor in namespaces of
  this machine, with a systemd of its own as first process: install, doctor, a voice of the shipped base
  pulled over MQTT, speech, kill, all processes killed at once, uninstall. Prints what ran and what did
  not; exits with 1 when anything failed. It is no Jetson: its kernel is this machine's, it has neither
  sound card nor GPU nor sensors.

  Wants root, a Linux with cgroup2, apt, dpkg and util-linux of a Debian, and a mirror; fetches 30 MB.
  Takes some three minutes. Changes nothing of this machine's system; beside the folder it works in, it
  makes a control group and takes it away again.

  --mirror URL   that has Debian's bullseye (default http://deb.debian.org/debian)
  --dir DIR      work there and keep all of it; what was fetched is not fetched again
  --minutes N    the longest that one step may take (default 5)

  npm run pack:agent -- --cpu x64 && sudo npm run board -- wattvox-agent-linux-x64.tar.gz
`;

async function run(archive: string, ms: number, mirror: string, kept?: string) {
	if (process.getuid?.() !== 0)
		throw new WattvoxError(
			"E_USAGE",
			"only root may make namespaces: use sudo",
		);
	const dir = kept ?? (await mkdtemp(join(tmpdir(), "wattvox-board-")));
	await mkdir(dir, { recursive: true });
	const interrupts = catchInterrupts();
	const say = (line: string) => process.stderr.write(`${line}\n`);
	try {
		const all = await tryBoard(
			{ mirror, archive, dir, ms, say },
			interrupts.signal,
		);
		const rows = all.map(({ what, ok, found }) => [
			what,
			ok ? "runs" : "FAILS",
			found.slice(0, 120),
		]);
		console.log(table(["tried", "", "found"], rows));
		if (all.some((tried) => !tried.ok)) process.exitCode = 1;
	} finally {
		interrupts.stop();
		if (!kept) await rm(dir, { recursive: true, force: true });
	}
}

try {
	const { values, positionals } = parseArgs({
		allowPositionals: true,
		options: {
			mirror: { type: "string", default: "http://deb.debian.org/debian" },
			dir: { type: "string" },
			minutes: { type: "string", default: "5" },
			help: { type: "boolean", short: "h", default: false },
		},
	});
	const [archive] = positionals;
	const ms = Number(values.minutes) * 60_000;
	const kept = values.dir ? resolve(values.dir) : undefined;
	if (values.help) process.stdout.write(HELP);
	else if (!archive || !(ms > 0)) throw new WattvoxError("E_USAGE", HELP);
	else await run(resolve(archive), ms, values.mirror, kept);
} catch (thrown) {
	const error = asWattvoxError(thrown);
	console.error(`${error.code}: ${error.message}`);
	process.exitCode = error.exit;
}
