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
import { type TryBoardOptions, tryBoard } from "./board/try-board.ts";

const HELP = `npm run board -- ARCHIVE [options]

  Tries an archive of \`npm run pack:agent\`, scripts/jetson-install.sh and the systemd unit on a Debian 11
  (C library 2.31, as JetPack 5; systemd 247): install, doctor, a voice of the shipped base pulled over
  MQTT, speech that is compared with this machine's, kill, all of it ended at once, uninstall. Prints what
  ran and what did not; exits with 1 when anything failed. It is no Jetson: it has neither sound card nor
  GPU nor sensors.

  By default it runs for this machine's processor in namespaces of this machine, with a systemd of its own
  as first process, on this machine's kernel. Takes some three minutes and 30 MB from the mirror; wants
  cgroup2 and util-linux. It makes a control group and takes it away again.

  With --cpu it is a whole 64-bit ARM machine in QEMU, with Debian's kernel 5.10 (as JetPack 5's) and an
  archive for arm64. Takes ten minutes to half an hour and 100 MB; wants qemu-system-arm and e2fsprogs.
  Its times say nothing about a device.

  Wants root, a Linux with apt and dpkg of a Debian, and a mirror. Changes nothing of this machine's system.

  --cpu NAME     QEMU's name of a processor: cortex-a76 (near Jetson Orin's), neoverse-n1, ...
  --mirror URL   that has Debian's bullseye (default http://deb.debian.org/debian)
  --dir DIR      work there and keep all of it; what was fetched is not fetched again
  --minutes N    the longest that one step may take (default 5, with --cpu 15)

  npm run pack:agent -- --cpu x64 && sudo npm run board -- wattvox-agent-linux-x64.tar.gz
  npm run pack:agent && sudo npm run board -- --cpu cortex-a76 wattvox-agent-linux-arm64.tar.gz
`;

async function run(
	of: Pick<TryBoardOptions, "archive" | "ms" | "mirror" | "cpu">,
	kept?: string,
) {
	if (process.getuid?.() !== 0)
		throw new WattvoxError(
			"E_USAGE",
			"only root may make namespaces, and files of other accounts: use sudo",
		);
	const dir = kept ?? (await mkdtemp(join(tmpdir(), "wattvox-board-")));
	await mkdir(dir, { recursive: true });
	const interrupts = catchInterrupts();
	const say = (line: string) => process.stderr.write(`${line}\n`);
	try {
		const all = await tryBoard({ ...of, dir, say }, interrupts.signal);
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
			cpu: { type: "string" },
			mirror: { type: "string", default: "http://deb.debian.org/debian" },
			dir: { type: "string" },
			minutes: { type: "string" },
			help: { type: "boolean", short: "h", default: false },
		},
	});
	const [archive] = positionals;
	const ms = Number(values.minutes ?? (values.cpu ? 15 : 5)) * 60_000;
	const kept = values.dir ? resolve(values.dir) : undefined;
	if (values.help) process.stdout.write(HELP);
	else if (!archive || !(ms > 0)) throw new WattvoxError("E_USAGE", HELP);
	else {
		const { mirror, cpu } = values;
		await run({ archive: resolve(archive), ms, mirror, cpu }, kept);
	}
} catch (thrown) {
	const error = asWattvoxError(thrown);
	console.error(`${error.code}: ${error.message}`);
	process.exitCode = error.exit;
}
