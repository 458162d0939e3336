import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { mkdir, writeFile } from "node:fs/promises";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { join } from "node:path";
import { Broker } from "./broker.ts";

/** A broker that a contract can be held against. */
export interface BrokerUnderTest {
	url: string;
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

/** A broker from Debian: a program, its arguments, and the configuration it reads. */
function program(
	name: string,
	path: string,
	configure: (port: number, dir: string) => string,
	args: (config: string) => string[],
): BrokerKind {
	return {
		name,
		...(!existsSync(path) && { missing: `${path} is not installed` }),
		async make(dir) {
			const port = await freePort();
			const config = join(dir, `${name}.conf`);
			await mkdir(dir, { recursive: true });
			await writeFile(config, configure(port, dir));
			let child: ChildProcess | undefined;
			const start = async () => {
				child = spawn(path, args(config), { stdio: "ignore" });
				await once(child, "spawn");
			};
			await start();
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
`,
	(config) => ["-c", config],
);

const nats = program(
	"nats-server",
	"/usr/sbin/nats-server",
	(port, dir) => `server_name: "test"
listen: "127.0.0.1:-1"
jetstream { store_dir: ${JSON.stringify(join(dir, "js"))} }
mqtt { listen: "127.0.0.1:${port}" }
`,
	(config) => ["-c", config],
);

/** Every kind of broker that the contract knows. */
export const BROKERS: readonly BrokerKind[] = [aedes, mosquitto, nats];

/** A TCP proxy whose connections a test can cut without a goodbye. */
export async function cuttable(url: string): Promise<{
	url: string;
	/** Cuts what is connected; new connections are let through. */
	cut(): void;
	stop(): Promise<void>;
}> {
	const { hostname, port } = new URL(url);
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
		url: `mqtt://127.0.0.1:${(server.address() as AddressInfo).port}`,
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
