import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { mkdir, writeFile } from "node:fs/promises";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { join } from "node:path";
import { systemClock } from "@wattvox/core";
import type { LinkOptions } from "@wattvox/link";
import { Broker } from "./broker.ts";

/** A broker that a contract can be held against. */
export interface BrokerUnderTest {
	url: string;
	/** What a user gets in with. Default: nothing is asked for. */
	account?(user: string): Promise<Partial<LinkOptions>>;
	/** Gone for good. */
	stop(): Promise<void>;
	/** Gone; `start` brings it back on the same port. */
	start(): Promise<void>;
}

/** How to get one kind of broker; `missing` says why not on this machine. */
export interface BrokerKind {
	name: string;
	missing?: string;
	/** A started one that keeps its files in `dir`. */
	make(dir: string): Promise<BrokerUnderTest>;
}

/** A port that was free a moment ago. */
export async function freePort(): Promise<number> {
	const server = createServer().listen(0, "127.0.0.1");
	await once(server, "listening");
	const { port } = server.address() as AddressInfo;
	server.close();
	await once(server, "close");
	return port;
}

const aedes: BrokerKind = {
	name: "aedes",
	async make() {
		const first = await Broker.start({ port: 0 });
		let broker = first;
		return {
			url: first.url,
			stop: () => broker.stop(),
			async start() {
				broker = await Broker.start({ port: first.port });
			},
		};
	},
};

const aedesWeb: BrokerKind = {
	name: "aedes over WebSocket",
	async make() {
		let broker = await Broker.start({ port: 0, web: { port: 0 } });
		const url = broker.webUrl ?? "";
		const port = Number(new URL(url).port);
		return {
			url,
			stop: () => broker.stop(),
			async start() {
				broker = await Broker.start({ port: 0, web: { port } });
			},
		};
	},
};

/** Resolves when a program answers on its port, however long a busy machine takes over starting it. */
async function listening(port: number, child: ChildProcess): Promise<void> {
	while (child.exitCode === null && child.signalCode === null) {
		const socket = connect({ host: "127.0.0.1", port });
		const answered = await new Promise<boolean>((resolve) => {
			socket.once("connect", () => resolve(true));
			socket.once("error", () => resolve(false));
		});
		socket.destroy();
		if (answered) return;
		await systemClock.sleep(20);
	}
	throw new Error(
		`it ended with ${child.signalCode ?? child.exitCode} before it listened on port ${port}`,
	);
}

/** A broker from Debian: a program, its arguments, and the configuration it reads. */
export function program(
	name: string,
	path: string,
	configure: (port: number, dir: string) => string,
	args: (config: string) => string[],
): BrokerKind {
	return {
		name,
		...(!existsSync(path) && { missing: `${path} is not installed` }),
		async make(dir) {
			const config = join(dir, `${name}.conf`);
			await mkdir(dir, { recursive: true });
			let port = 0;
			let child: ChildProcess | undefined;
			const start = async () => {
				child = spawn(path, args(config), { stdio: "ignore" });
				await once(child, "spawn");
				await listening(port, child);
			};
			// What was free a moment ago may be taken now, by another test's broker for one.
			for (let tries = 5; ; tries--) {
				port = await freePort();
				await writeFile(config, configure(port, dir));
				try {
					await start();
					break;
				} catch (thrown) {
					if (tries === 1) throw thrown;
				}
			}
			return {
				url: `mqtt://127.0.0.1:${port}`,
				start,
				async stop() {
					if (!child || child.exitCode !== null || child.signalCode) return;
					const exit = once(child, "exit");
					child.kill("SIGKILL");
					await exit;
				},
			};
		},
	};
}

const mosquitto = program(
	"mosquitto",
	"/usr/sbin/mosquitto",
	(port) => `listener ${port} 127.0.0.1
allow_anonymous true
set_tcp_nodelay true
max_inflight_messages 0
max_queued_messages 100000
`,
	(config) => ["-c", config],
);

const nats = program(
	"nats-server",
	"/usr/sbin/nats-server",
	(port, dir) => `server_name: "test"
listen: "127.0.0.1:-1"
jetstream { store_dir: ${JSON.stringify(join(dir, "js"))} }
mqtt { listen: "127.0.0.1:${port}", ack_wait: "2s" }
`,
	(config) => ["-c", config],
);

/** Every kind of broker that the contract knows. */
export const BROKERS: readonly BrokerKind[] = [
	aedes,
	aedesWeb,
	mosquitto,
	nats,
];

/** A TCP proxy whose connections a test can cut without a goodbye. */
export async function cuttable(url: string): Promise<{
	url: string;
	/** Cuts what is connected; new connections are let through. */
	cut(): void;
	stop(): Promise<void>;
}> {
	const { protocol, hostname, port, pathname } = new URL(url);
	const sockets = new Set<Socket>();
	const server = createServer({ noDelay: true }, (near) => {
		const far = connect({ host: hostname, port: Number(port), noDelay: true });
		for (const [a, b] of [
			[near, far],
			[far, near],
		] as const) {
			sockets.add(a);
			a.on("error", () => undefined);
			a.on("close", () => {
				sockets.delete(a);
				b.destroy();
			});
			a.pipe(b);
		}
	}).listen(0, "127.0.0.1");
	await once(server, "listening");
	const cut = () => {
		for (const socket of sockets) socket.destroy();
	};
	return {
		url: `${protocol}//127.0.0.1:${(server.address() as AddressInfo).port}${pathname}`,
		cut,
		async stop() {
			const closed = new Promise<void>((resolve) =>
				server.close(() => resolve()),
			);
			cut();
			await closed;
		},
	};
}
