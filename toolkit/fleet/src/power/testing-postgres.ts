import { type ChildProcess, execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readdirSync } from "node:fs";
import { chown, mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";

const run = promisify(execFile);

/** Debian keeps the server's programs by version. */
const ROOT = "/usr/lib/postgresql";

function binaries(): string | undefined {
	const versions = existsSync(ROOT) ? readdirSync(ROOT) : [];
	return versions
		.sort((a, b) => Number(b) - Number(a))
		.map((version) => join(ROOT, version, "bin"))
		.find((bin) => existsSync(join(bin, "initdb")));
}

/** Why there is no PostgreSQL on this machine; undefined when there is one. */
export const postgresMissing: string | undefined = binaries()
	? undefined
	: "PostgreSQL is not installed (apt-get install postgresql)";

/** A cluster of its own in a temporary folder, on a Unix socket alone. */
export interface Cluster {
	url: string;
	/** Of the server. */
	pid: number;
	stop(): Promise<void>;
}

/** The account that the server runs as: it refuses root. */
async function account(): Promise<{ uid: number; gid: number } | undefined> {
	if (process.getuid?.() !== 0) return undefined;
	const line = (await readFile("/etc/passwd", "utf8"))
		.split("\n")
		.find((l) => l.startsWith("postgres:"));
	const [, , uid, gid] = line?.split(":") ?? [];
	return uid && gid ? { uid: Number(uid), gid: Number(gid) } : undefined;
}

/** @param settings of the server, beside the defaults */
export async function startPostgres(
	settings: Record<string, string> = { fsync: "off" },
): Promise<Cluster> {
	const bin = binaries();
	if (!bin) throw new Error(postgresMissing);
	// short: a socket's path has room for 107 bytes
	const dir = await mkdtemp(join(tmpdir(), "pg-"));
	const who = await account();
	if (who) await chown(dir, who.uid, who.gid);
	const env = { PATH: process.env.PATH ?? "", LC_ALL: "C" };
	const options = { cwd: dir, env, ...who };
	const data = join(dir, "data");
	await run(
		join(bin, "initdb"),
		[...["-D", data, "-U", "wattvox", "-A", "trust", "-E", "UTF8"], "-N"],
		options,
	);
	const all = {
		listen_addresses: "",
		unix_socket_directories: dir,
		...settings,
	};
	const server = spawn(
		join(bin, "postgres"),
		[
			"-D",
			data,
			...Object.entries(all).flatMap(([k, v]) => ["-c", `${k}=${v}`]),
		],
		{ ...options, stdio: ["ignore", "ignore", "pipe"] },
	);
	await ready(server);
	return {
		url: `postgres://wattvox@localhost/postgres?host=${encodeURIComponent(dir)}`,
		pid: server.pid ?? 0,
		async stop() {
			const gone = once(server, "exit");
			// fast shutdown: clients are cut off
			server.kill("SIGINT");
			await gone;
			await rm(dir, { recursive: true, force: true });
		},
	};
}

async function ready(server: ChildProcess): Promise<void> {
	let said = "";
	await new Promise<void>((resolve, reject) => {
		server.stderr?.on("data", (chunk: Buffer) => {
			said = (said + chunk.toString()).slice(-4000);
			if (said.includes("ready to accept connections")) resolve();
		});
		server.once("exit", () => reject(new Error(`postgres ended: ${said}`)));
	});
}
