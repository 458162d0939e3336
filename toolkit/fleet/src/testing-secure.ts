import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import type { LinkOptions } from "@wattvox/link";
import { Broker } from "./broker.ts";
import { type BrokerKind, program } from "./testing-brokers.ts";
import { type Authority, makeAuthority } from "./testing-certificates.ts";

const run = promisify(execFile);

/** Who the contract connects as. */
const USERS = ["fleet", "hub", "jetson-1", "store"] as const;
const passwordOf = (user: string) => `sesame-${user}`;

/** How clients prove who they are, and by what they come. */
interface Way {
	scheme: "mqtts" | "ws" | "wss";
	certificates: boolean;
}

const CERTIFICATES: Way = { scheme: "mqtts", certificates: true };
const WEB: Way = { scheme: "wss", certificates: false };
// mosquitto 2.0 answers over wss so slowly that one pull takes 40 s
const PLAIN_WEB: Way = { scheme: "ws", certificates: false };

const nameOf = (name: string, { scheme, certificates }: Way) =>
	`${name} over ${scheme} with ${certificates ? "client certificates" : "passwords"}`;

/** An account, as a link's options. */
function accounts(authority: Authority, { certificates }: Way) {
	const { ca } = authority;
	return async (user: string): Promise<Partial<LinkOptions>> => {
		if (!certificates)
			return { username: user, password: passwordOf(user), tls: { ca } };
		const { cert, key } = await authority.client(user);
		return { tls: { ca, cert, key } };
	};
}

function aedes(way: Way): BrokerKind {
	const web = way.scheme !== "mqtts";
	return {
		name: nameOf("aedes", way),
		async make(dir) {
			const authority = await makeAuthority(join(dir, "pki"));
			const { cert, key } = authority.server;
			const start = (port: number) =>
				Broker.start({
					port: web ? 0 : port,
					...(web && { web: { port } }),
					tls: { cert, key, ...(way.certificates && { ca: authority.ca }) },
					access: {
						connect: (id, user, password, certified) =>
							way.certificates
								? certified === id
								: user === id && String(password) === passwordOf(id),
						...{ publish: () => true, subscribe: () => true },
					},
				});
			let broker = await start(0);
			const url = (web ? broker.webUrl : broker.url) ?? "";
			const port = Number(new URL(url).port);
			return {
				...{ url, account: accounts(authority, way) },
				stop: () => broker.stop(),
				async start() {
					broker = await start(port);
				},
			};
		},
	};
}

/** A program whose files have to be there before it starts. */
function prepared(
	...[name, path, way, configure, prepare]: [
		name: string,
		path: string,
		way: Way,
		configure: (port: number, dir: string) => string,
		prepare?: (dir: string) => Promise<void>,
	]
): BrokerKind {
	const kind = program(name, path, configure, (config) => ["-c", config]);
	return {
		...kind,
		name: nameOf(name, way),
		async make(dir) {
			await mkdir(dir, { recursive: true });
			const authority = await makeAuthority(join(dir, "pki"));
			await prepare?.(dir);
			const broker = await kind.make(dir);
			const { port } = new URL(broker.url);
			const at =
				name === "nats-server" && way.scheme !== "mqtts" ? "/mqtt" : "";
			return {
				...broker,
				url: `${way.scheme}://127.0.0.1:${port}${at}`,
				account: accounts(authority, way),
			};
		},
	};
}

const pem = (dir: string, name: string) => join(dir, "pki", name);

const MOSQUITTO = "/usr/sbin/mosquitto";
const mosquitto = (way: Way) =>
	prepared(
		"mosquitto",
		MOSQUITTO,
		way,
		(port, dir) =>
			[
				"user root",
				// 2.0 does not start with a WebSocket listener alone (eclipse-mosquitto/mosquitto#2284)
				...(way.scheme === "mqtts"
					? []
					: [`listener 0 ${join(dir, "socket")}`]),
				`listener ${port} 127.0.0.1`,
				...(way.scheme === "mqtts"
					? [
							`cafile ${pem(dir, "ca.pem")}`,
							`certfile ${pem(dir, "server.pem")}`,
							`keyfile ${pem(dir, "server.key")}`,
						]
					: ["protocol websockets"]),
				...["allow_anonymous false", "set_tcp_nodelay true"],
				...["max_inflight_messages 0", "max_queued_messages 100000"],
				...(way.certificates
					? ["require_certificate true", "use_identity_as_username true"]
					: [`password_file ${join(dir, "users")}`]),
				"",
			].join("\n"),
		async (dir) => {
			const users = join(dir, "users");
			await writeFile(users, "");
			if (way.certificates) return;
			for (const user of USERS)
				await run("mosquitto_passwd", ["-b", users, user, passwordOf(user)]);
		},
	);

const nats = (way: Way) =>
	prepared("nats-server", "/usr/sbin/nats-server", way, (port, dir) => {
		const web = way.scheme !== "mqtts";
		const users = USERS.map(
			(user) => `{ user: "${user}", password: "${passwordOf(user)}" }`,
		);
		const tls = `tls {
  cert_file: ${JSON.stringify(pem(dir, "server.pem"))}
  key_file: ${JSON.stringify(pem(dir, "server.key"))}
  ca_file: ${JSON.stringify(pem(dir, "ca.pem"))}
  verify: ${way.certificates}
}`;
		return `server_name: "test"
listen: "127.0.0.1:-1"
${way.certificates ? "" : `authorization { users: [${users.join(", ")}] }`}
jetstream { store_dir: ${JSON.stringify(join(dir, "js"))} }
mqtt {
  listen: "127.0.0.1:${web ? -1 : port}"
  ack_wait: "2s"
  ${web ? "" : tls}
}
${web ? `websocket {\n  listen: "127.0.0.1:${port}"\n  ${tls}\n}` : ""}
`;
	});

/**
 * Every broker by TLS with client certificates, and by WebSocket with passwords. That each device is held to
 * its own topics is another contract's.
 */
export const SECURE: readonly BrokerKind[] = [
	aedes(CERTIFICATES),
	aedes(WEB),
	mosquitto(CERTIFICATES),
	mosquitto(PLAIN_WEB),
	nats(CERTIFICATES),
	nats(WEB),
].map((kind) =>
	kind.missing || existsSync("/usr/bin/openssl")
		? kind
		: { ...kind, missing: "openssl is not installed" },
);
