import { type ChildProcess, execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { Broker } from "./broker.ts";
import { brokerRules, mosquittoAcl } from "./broker-acl.ts";
import { freePort } from "./testing-brokers.ts";
import type { Authority } from "./testing-certificates.ts";

const run = promisify(execFile);

/** A broker that asks who one is. */
export interface GuardedSetup {
	dir: string;
	/** By user name. */
	passwords: Record<string, string>;
	authority: Authority;
	scheme: "mqtt" | "mqtts" | "ws" | "wss";
	/** Clients prove themselves by certificate, not by password. */
	certificates: boolean;
}

export interface GuardedKind {
	name: string;
	missing?: string;
	/** It holds each device to its own topics. */
	acl: boolean;
	schemes: readonly GuardedSetup["scheme"][];
	make(setup: GuardedSetup): Promise<{ url: string; stop(): Promise<void> }>;
}

/** Devices that may bring engines. */
const STATIONS = ["jetson-1"];

const isTls = (s: GuardedSetup) => s.scheme === "mqtts" || s.scheme === "wss";
const isWeb = (s: GuardedSetup) => s.scheme === "ws" || s.scheme === "wss";

const aedes: GuardedKind = {
	name: "aedes",
	acl: true,
	schemes: ["mqtt", "mqtts", "ws", "wss"],
	async make(setup) {
		const { server, ca } = setup.authority;
		const broker = await Broker.start({
			port: 0,
			...(isWeb(setup) && { web: { port: 0 } }),
			access: brokerRules(
				"home",
				setup.certificates ? {} : setup.passwords,
				STATIONS,
			),
			...(isTls(setup) && {
				tls: {
					cert: server.cert,
					key: server.key,
					...(setup.certificates && { ca }),
				},
			}),
		});
		const url = isWeb(setup) ? (broker.webUrl ?? "") : broker.url;
		return { url, stop: () => broker.stop() };
	},
};

/** Runs a program until `stop`. */
async function running(path: string, args: string[]) {
	const child: ChildProcess = spawn(path, args, { stdio: "ignore" });
	await once(child, "spawn");
	return async () => {
		if (child.exitCode !== null || child.signalCode) return;
		const exit = once(child, "exit");
		child.kill("SIGKILL");
		await exit;
	};
}

const MOSQUITTO = "/usr/sbin/mosquitto";
const mosquitto: GuardedKind = {
	name: "mosquitto",
	...(!existsSync(MOSQUITTO) && { missing: `${MOSQUITTO} is not installed` }),
	acl: true,
	// wss works too; its 2.0 answers so slowly there that a test of it takes 40 s
	schemes: ["mqtt", "mqtts", "ws"],
	async make(setup) {
		const { dir, passwords, authority, certificates } = setup;
		await mkdir(dir, { recursive: true });
		const [acl, users, config] = [
			join(dir, "acl"),
			join(dir, "users"),
			join(dir, "mosquitto.conf"),
		];
		await writeFile(acl, mosquittoAcl("home", [], STATIONS));
		await writeFile(users, "");
		for (const [user, password] of Object.entries(passwords))
			await run("mosquitto_passwd", ["-b", users, user, password]);
		const [port, plain] = [await freePort(), await freePort()];
		await writeFile(
			config,
			[
				// 2.0 does not start with a WebSocket listener alone (eclipse-mosquitto/mosquitto#2284)
				...(isWeb(setup) ? [`listener ${plain} 127.0.0.1`] : []),
				// files of the test are its owner's alone
				"user root",
				`listener ${port} 127.0.0.1`,
				...(isWeb(setup) ? ["protocol websockets"] : []),
				"set_tcp_nodelay true",
				"allow_anonymous false",
				`acl_file ${acl}`,
				...(certificates ? [] : [`password_file ${users}`]),
				...(isTls(setup)
					? [
							`cafile ${authority.caPath}`,
							`certfile ${authority.server.certPath}`,
							`keyfile ${authority.server.keyPath}`,
						]
					: []),
				...(certificates
					? ["require_certificate true", "use_identity_as_username true"]
					: []),
				"",
			].join("\n"),
		);
		const stop = await running(MOSQUITTO, ["-c", config]);
		return { url: `${setup.scheme}://127.0.0.1:${port}`, stop };
	},
};

const NATS = "/usr/sbin/nats-server";
const nats: GuardedKind = {
	name: "nats-server",
	...(!existsSync(NATS) && { missing: `${NATS} is not installed` }),
	// it has permissions of its own, by NATS subject; wattvox writes none for it
	acl: false,
	schemes: ["mqtt", "mqtts", "ws", "wss"],
	async make(setup) {
		const { dir, passwords, authority, certificates } = setup;
		await mkdir(dir, { recursive: true });
		const [port, web] = [await freePort(), await freePort()];
		const config = join(dir, "nats.conf");
		const users = Object.entries(passwords).map(
			([user, password]) =>
				`{ user: ${JSON.stringify(user)}, password: ${JSON.stringify(password)} }`,
		);
		const tls = `tls {
  cert_file: ${JSON.stringify(authority.server.certPath)}
  key_file: ${JSON.stringify(authority.server.keyPath)}
  ca_file: ${JSON.stringify(authority.caPath)}
  verify: ${certificates}
}`;
		await writeFile(
			config,
			`server_name: "test"
listen: "127.0.0.1:-1"
${certificates ? "" : `authorization { users: [${users.join(", ")}] }`}
jetstream { store_dir: ${JSON.stringify(join(dir, "js"))} }
mqtt {
  listen: "127.0.0.1:${port}"
  ${setup.scheme === "mqtts" ? tls : ""}
}
websocket {
  listen: "127.0.0.1:${web}"
  ${isTls(setup) ? tls : "no_tls: true"}
}
`,
		);
		const stop = await running(NATS, ["-c", config]);
		const at = isWeb(setup) ? `${web}/mqtt` : `${port}`;
		return { url: `${setup.scheme}://127.0.0.1:${at}`, stop };
	},
};

/** Every broker with its doors guarded. */
export const GUARDED: readonly GuardedKind[] = [aedes, mosquitto, nats];
