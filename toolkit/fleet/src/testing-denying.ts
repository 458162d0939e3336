import { existsSync } from "node:fs";
import { mkdir, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { join } from "node:path";
import { FolderStore } from "@wattvox/bundle";
import { type Link, pullBundle } from "@wattvox/link";
import { Aedes, type AedesOptions } from "aedes";
import { Broker } from "./broker.ts";
import { makeSample } from "./testing.ts";
import { type BrokerKind, program } from "./testing-brokers.ts";

/** Nobody may read below this. */
export const FORBIDDEN = "wattvox/v1/home/jetson-2";

/** Nobody may write below this. */
export const UNWRITABLE = "wattvox/v1/home/jetson-3";

/**
 * A broker that denies to listen to anything below {@link FORBIDDEN}, and to publish anything below
 * {@link UNWRITABLE}, in its own way.
 */
export interface DenyingKind extends BrokerKind {
	/** It ends the connection of whoever publishes what it may not; otherwise it acknowledges and drops that. */
	cuts: boolean;
	/** The client learns of it; otherwise it is granted, and nothing comes. */
	tells: boolean;
	/** It gives no answer. */
	silent?: true;
	account?: { username: string; password: string };
}

const writable = (name: string) => !name.startsWith(UNWRITABLE);
const allowed = (filter: string) => !filter.startsWith(FORBIDDEN);

const embedded: DenyingKind = {
	name: "aedes, SUBACK with a failure",
	tells: true,
	cuts: true,
	async make() {
		const broker = await Broker.start({
			port: 0,
			access: {
				connect: () => true,
				publish: (_, name) => writable(name),
				subscribe: (_, filter) => allowed(filter),
			},
		});
		return {
			url: broker.url,
			start: () => broker.start(),
			stop: () => broker.stop(),
		};
	},
};

/**
 * @param deny what it does in place of an answer to a subscription
 * @param denyWrite the same, for what is published
 */
function bare(
	name: string,
	deny: (
		done: Parameters<NonNullable<AedesOptions["authorizeSubscribe"]>>[2],
	) => void,
	denyWrite: (
		done: Parameters<NonNullable<AedesOptions["authorizePublish"]>>[2],
	) => void,
): DenyingKind {
	return {
		name,
		tells: true,
		cuts: true,
		async make() {
			const aedes = await Aedes.createBroker({
				authorizePublish(client, { topic }, done) {
					if (!client || writable(topic)) done(null);
					else denyWrite(done);
				},
				authorizeSubscribe(_, subscription, done) {
					if (allowed(subscription.topic)) done(null, subscription);
					else deny(done);
				},
			});
			const server = createServer({ noDelay: true }, (socket) => {
				socket.on("error", () => undefined);
				aedes.handle(socket);
			});
			await new Promise<void>((resolve) =>
				server.listen(0, "127.0.0.1", resolve),
			);
			const { port } = server.address() as { port: number };
			return {
				url: `mqtt://127.0.0.1:${port}`,
				start: async () => undefined,
				async stop() {
					const closed = new Promise((resolve) => server.close(resolve));
					await new Promise<void>((resolve) => aedes.close(() => resolve()));
					await closed;
				},
			};
		},
	};
}

const MOSQUITTO = "/usr/sbin/mosquitto";
/** Where Debian keeps the plugin, by what it calls the processor. */
const PLUGIN = ["x86_64", "aarch64"]
	.map((cpu) => `/usr/lib/${cpu}-linux-gnu/mosquitto_dynamic_security.so`)
	.find((path) => existsSync(path));

const acls = [
	["publishClientSend", "#", true],
	["publishClientReceive", "#", true],
	["unsubscribePattern", "#", true],
	["subscribePattern", `${FORBIDDEN}/#`, false],
	["publishClientSend", `${UNWRITABLE}/#`, false],
].map(([acltype, topic, allow]) => ({
	...{ acltype, topic, allow },
	// of those that fit, the highest counts
	priority: allow ? 0 : 1,
}));

const mosquittoPlugin = program(
	"mosquitto",
	MOSQUITTO,
	(port, dir) => `listener ${port} 127.0.0.1
allow_anonymous true
user root
plugin ${PLUGIN}
plugin_opt_config_file ${join(dir, "rights.json")}
`,
	(config) => ["-c", config],
);

const mosquitto: DenyingKind = {
	...mosquittoPlugin,
	name: "mosquitto with dynamic security",
	tells: true,
	cuts: false,
	...(!PLUGIN && { missing: "mosquitto's dynamic security is not installed" }),
	async make(dir) {
		await mkdir(dir, { recursive: true });
		const access = { publishClientSend: true, publishClientReceive: true };
		await writeFile(
			join(dir, "rights.json"),
			JSON.stringify({
				defaultACLAccess: { ...access, subscribe: true, unsubscribe: true },
				...{ clients: [], anonymousGroup: "all" },
				groups: [{ groupname: "all", roles: [{ rolename: "all" }] }],
				roles: [{ rolename: "all", acls }],
			}),
		);
		return mosquittoPlugin.make(dir);
	},
};

const mosquittoListed = program(
	"mosquitto",
	MOSQUITTO,
	(port, dir) => `listener ${port} 127.0.0.1
allow_anonymous true
user root
acl_file ${join(dir, "acl")}
`,
	(config) => ["-c", config],
);

const mosquittoAcl: DenyingKind = {
	...mosquittoListed,
	name: "mosquitto with an access list",
	tells: false,
	cuts: false,
	async make(dir) {
		await mkdir(dir, { recursive: true });
		await writeFile(
			join(dir, "acl"),
			[
				...["jetson-1", "jetson-2"].map(
					(id) => `write wattvox/v1/home/${id}/#`,
				),
				...["jetson-1", "jetson-3"].map((id) => `read wattvox/v1/home/${id}/#`),
			]
				.map((rule) => `topic ${rule}\n`)
				.join(""),
		);
		return mosquittoListed.make(dir);
	},
};

const nats: DenyingKind = {
	...program(
		"nats-server",
		"/usr/sbin/nats-server",
		(port, dir) => `server_name: "test"
listen: "127.0.0.1:-1"
jetstream { store_dir: ${JSON.stringify(join(dir, "js"))} }
mqtt { listen: "127.0.0.1:${port}" }
authorization { users: [{
  user: "u", password: "p"
  permissions: {
    subscribe: { deny: ["${FORBIDDEN.replaceAll("/", ".")}.>"] }
    publish: { deny: ["${UNWRITABLE.replaceAll("/", ".")}.>"] }
  }
}] }
`,
		(config) => ["-c", config],
	),
	tells: true,
	cuts: false,
	account: { username: "u", password: "p" },
};

/** Every way in which a broker denies. */
export const DENYING: readonly DenyingKind[] = [
	embedded,
	bare(
		"aedes, ends the connection",
		(done) => done(new Error("no")),
		(done) => done(new Error("no")),
	),
	{
		...bare(
			"aedes, gives no answer",
			() => undefined,
			() => undefined,
		),
		silent: true,
	},
	mosquitto,
	mosquittoAcl,
	nats,
];

/**
 * A pull that the broker denies: it ends in what the test is about.
 * @param dir for the bundle, and for the device's store, which stays empty
 */
export async function pullInVain(
	link: Link,
	device: string,
	dir: string,
	patience: { stallMs: number; stallLimit: number },
): Promise<void> {
	const { digest, trust } = await makeSample(dir, { decoderBytes: 1000 });
	await pullBundle({
		...{ link, fleet: "home", device, store: "store", digest, trust },
		into: new FolderStore(join(dir, "device")),
		...patience,
	});
}
