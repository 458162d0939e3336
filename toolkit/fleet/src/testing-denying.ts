import { existsSync } from "node:fs";
import { mkdir, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { join } from "node:path";
import { Aedes, type AedesOptions } from "aedes";
import { Broker } from "./broker.ts";
import { type BrokerKind, program } from "./testing-brokers.ts";

/** Nobody may read below this. */
export const FORBIDDEN = "wattvox/v1/home/jetson-2";

/** A broker that denies to listen to anything below {@link FORBIDDEN}, in its own way. */
export interface DenyingKind extends BrokerKind {
	/** The client learns of it; otherwise it is granted, and nothing comes. */
	tells: boolean;
	/** It gives no answer. */
	silent?: true;
	account?: { username: string; password: string };
}

const allowed = (filter: string) => !filter.startsWith(FORBIDDEN);

const embedded: DenyingKind = {
	name: "aedes, SUBACK with a failure",
	tells: true,
	async make() {
		const broker = await Broker.start({
			port: 0,
			access: {
				...{ connect: () => true, publish: () => true },
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

/** @param deny what it does in place of an answer */
function bare(
	name: string,
	deny: (
		done: Parameters<NonNullable<AedesOptions["authorizeSubscribe"]>>[2],
	) => void,
): DenyingKind {
	return {
		name,
		tells: true,
		async make() {
			const aedes = await Aedes.createBroker({
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
].map(([acltype, topic, allow]) => ({ acltype, topic, allow, priority: 0 }));

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
	async make(dir) {
		await mkdir(dir, { recursive: true });
		await writeFile(
			join(dir, "acl"),
			"topic write wattvox/#\ntopic read wattvox/v1/home/jetson-1/#\n",
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
  permissions: { subscribe: { deny: ["${FORBIDDEN.replaceAll("/", ".")}.>"] } }
}] }
`,
		(config) => ["-c", config],
	),
	tells: true,
	account: { username: "u", password: "p" },
};

/** Every way in which a broker denies. */
export const DENYING: readonly DenyingKind[] = [
	embedded,
	bare("aedes, ends the connection", (done) => done(new Error("no"))),
	{ ...bare("aedes, gives no answer", () => undefined), silent: true },
	mosquitto,
	mosquittoAcl,
	nats,
];
