import { systemClock } from "@wattvox/core";
import { type Attempt, fine } from "../arm64/attempts.ts";
import type { FleetHere } from "../arm64/fleet-here.ts";
import { saysTheSame } from "../arm64/same-sound.ts";
import type { Board } from "./board.ts";
import type { Shell } from "./shell.ts";

const UNIT = "wattvox-agent";
const [OPT, DATA] = ["/opt/wattvox/current", "/var/lib/wattvox"];
const POST = `--header 'content-type: application/json'`;
const SENTENCE = "All is well on this board.";
const BODY = JSON.stringify({ input: SENTENCE });
/** What lies in the board's /root. */
export const GIVEN = {
	archive: "agent.tar.gz",
	installer: "jetson-install.sh",
	trust: "fleet.pub",
};

/** What is tried on a board, in order. */
export class BoardTrial {
	readonly #board: Board;
	readonly #fleet: FleetHere;
	readonly #bundle: string;
	readonly #attempt: Attempt;
	#shell: Shell | undefined;

	/** @param bundle is wished for */
	constructor(
		board: Board,
		fleet: FleetHere,
		bundle: string,
		attempt: Attempt,
	) {
		this.#bundle = bundle;
		this.#board = board;
		this.#fleet = fleet;
		this.#attempt = attempt;
	}

	/** Everything, on a board that was never switched on. */
	async run(): Promise<void> {
		if (!(await this.#starts("a Debian with systemd starts"))) return;
		await this.#installs();
		await this.#looks();
		await this.#serves();
		await this.#speaks();
		await this.#survives();
		await this.#leaves();
	}

	async #starts(what: string): Promise<boolean> {
		return this.#attempt(what, async (limit) => {
			this.#shell = await this.#board.start(limit);
			return this.#sh(
				`systemctl is-system-running --wait >/dev/null
				systemctl --failed --no-legend | grep . && exit 1
				echo "kernel $(uname -rm), $(systemctl --version | head -n 1), $(ldd --version | sed -n 1p)"`,
				limit,
			);
		});
	}

	async #installs(): Promise<void> {
		const install = `cd /root && sh ${GIVEN.installer} install ${GIVEN.archive}`;
		await this.#command("the installer installs", `${install} && id wattvox`);
		await this.#command(
			"the installer, once more, changes nothing",
			`before=$(readlink ${OPT}) && ${install} >/dev/null &&
			[ "$before" = "$(readlink ${OPT})" ] && [ "$(ls /opt/wattvox/releases | wc -l)" = 1 ] && echo "one release"`,
		);
		await this.#command(
			"its systemd finds no fault with the unit",
			`said=$(systemd-analyze verify ${UNIT}.service 2>&1) && [ -z "$said" ] || { echo "$said"; exit 1; }
			systemd-analyze security ${UNIT}.service | tail -n 1`,
		);
	}

	async #looks(): Promise<void> {
		await this.#command(
			"Node starts, ONNX Runtime loads",
			`cd ${OPT} && bin/node -p '[process.version, process.arch, Object.keys(require("onnxruntime-node")).length + " names"].join(", ")'`,
		);
		await this.#command(
			"the settings are filled in",
			`cp ~/${GIVEN.trust} /etc/wattvox/ && cat >/etc/wattvox/agent.env <<-END
			WATTVOX_AGENT_ARGS=--broker ${this.#broker} --fleet ${this.#fleet.fleet} --device ${this.#fleet.device} --trust /etc/wattvox/${GIVEN.trust} --player aplay --port ${this.#board.port} --audio-device null --limit real-time-factor=100000 --limit underruns=100000
			END
			echo "as docs/DEVICES.md says, with limits that no busy machine breaks"`,
		);
		await this.#command(
			"doctor, as root, before the first start",
			`wattvox-agent doctor --data ${DATA} --trust /etc/wattvox/${GIVEN.trust} --broker ${this.#broker}`,
		);
	}

	async #serves(): Promise<void> {
		await this.#attempt(
			"the service starts and has no voice",
			async (limit) => {
				await this.#sh(`systemctl restart ${UNIT}`, limit);
				return this.#answers(limit, /503/);
			},
		);
		await this.#command(
			"it has no rights, and its folder is its own",
			`pid=$(systemctl show -p MainPID --value ${UNIT})
			grep -Eq '^NoNewPrivs:\\s*1' /proc/$pid/status && grep -Eq '^CapEff:\\s*0+$' /proc/$pid/status || exit 1
			[ "$(stat -c %U:%a ${DATA})" = wattvox:750 ] || exit 1
			find ${DATA} ! -user wattvox | grep . && exit 1
			echo "process $pid of $(ps -o user= -p $pid), groups $(ps -o supgrp= -p $pid)"`,
		);
		await this.#command(
			"sound cards and GPU are not kept from it",
			`said=$(systemctl show -p DevicePolicy,DeviceAllow,PrivateDevices ${UNIT} | sort | paste -sd' ')
			echo "$said" && [ "$said" = "DevicePolicy=auto PrivateDevices=no" ]`,
		);
	}

	async #speaks(): Promise<void> {
		const fleet = this.#fleet;
		await this.#attempt(
			"it pulls the base voice over MQTT; the golden sentence holds",
			async (limit) => {
				await fleet.wish(this.#bundle);
				const ends = () =>
					["active", "failed"].includes(fleet.reported?.state ?? "");
				while (!ends()) await systemClock.sleep(200, limit);
				const { state, reason } = fleet.reported ?? {};
				if (state !== "active")
					throw new Error(`${state}: ${reason?.code} ${reason?.message}`);
				return `${fleet.sent}, active`;
			},
		);
		await this.#sentence("it speaks a sentence as this machine does");
		await this.#command(
			"it plays one on ALSA's null device",
			`busybox wget -qO- ${POST} --post-data='${BODY}' ${this.#api}/v1/audio/play`,
		);
		await this.#command(
			"wattvox-agent status",
			`wattvox-agent status --data ${DATA}`,
		);
	}

	async #survives(): Promise<void> {
		await this.#attempt("killed, it is back by itself", async (limit) => {
			await this.#sh(`systemctl kill --signal=KILL ${UNIT}`, limit);
			await this.#answers(limit, /"voice"/);
			return this.#sh(
				`echo "restarted $(systemctl show -p NRestarts --value ${UNIT}) time(s)"`,
				limit,
			);
		});
		await this.#stops("stopped, it ends in time and well");
		await this.#command("started again", `systemctl start ${UNIT}`);
		await this.#attempt("after that, it speaks", (limit) =>
			this.#answers(limit, /"voice"/),
		);
		await this.#fleet.stop();
		await this.#board.cut();
		if (
			!(await this.#starts("all of it killed at once, the system starts again"))
		)
			return;
		await this.#attempt("the agent too, by itself, with no broker", (limit) =>
			this.#answers(limit, /"voice"/),
		);
		await this.#sentence("it speaks the sentence as before");
		await this.#stops("stopped with no broker, it ends in time too");
	}

	async #leaves(): Promise<void> {
		await this.#command(
			"uninstalled, voices and settings stay",
			`cd /root && sh ${GIVEN.installer} uninstall && [ ! -e /opt/wattvox ] && [ -e ${DATA}/active.json ] && [ -e /etc/wattvox/agent.env ] && ! pgrep -u wattvox`,
		);
		await this.#command(
			"uninstalled with --purge, nothing stays",
			`cd /root && sh ${GIVEN.installer} uninstall --purge && [ ! -e ${DATA} ] && [ ! -e /etc/wattvox ] && ! id wattvox 2>/dev/null && ! systemctl cat ${UNIT} 2>/dev/null`,
		);
	}

	/** A service that systemd had to kill counts as failed. */
	async #stops(what: string): Promise<void> {
		await this.#command(
			what,
			`systemctl stop ${UNIT}
			systemctl show -p Result,ExecMainStatus,ActiveState ${UNIT} | paste -sd' '
			! systemctl is-failed ${UNIT} >/dev/null`,
		);
	}

	async #sentence(what: string): Promise<void> {
		await this.#attempt(what, async (limit) => {
			const command = `busybox wget -qO ~/said.wav ${POST} --post-data='${BODY}' ${this.#api}/v1/audio/speech && base64 ~/said.wav`;
			const wav = Buffer.from(await this.#sh(command, limit), "base64");
			return saysTheSame(wav, this.#bundle, SENTENCE);
		});
	}

	get #api(): string {
		return `http://127.0.0.1:${this.#board.port}`;
	}

	get #broker(): string {
		return this.#fleet.url.replace("127.0.0.1", this.#board.host);
	}

	/** Asks until what /healthz says, or refuses with, matches. */
	async #answers(limit: AbortSignal, what: RegExp): Promise<string> {
		for (;;) {
			const ask = `busybox wget -qO- ${this.#api}/healthz`;
			const { said } = await this.#line.run(ask, limit);
			if (what.test(said)) return said;
			await systemClock.sleep(500, limit);
		}
	}

	async #command(what: string, command: string): Promise<void> {
		await this.#attempt(what, async (limit) =>
			fine(await this.#line.run(command, limit)),
		);
	}

	/** What a command says. @throws Error when it fails */
	async #sh(command: string, limit: AbortSignal): Promise<string> {
		const done = await this.#line.run(command, limit);
		fine(done);
		return done.said;
	}

	get #line(): Shell {
		if (!this.#shell) throw new Error("the system did not start");
		return this.#shell;
	}
}
