import { once } from "node:events";
import { readFile, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { MANIFEST, parseManifest, sha256 } from "@wattvox/bundle";
import { Attempts, code, rot, unless } from "./disk-attempts.ts";
import type { World } from "./disk-world.ts";
import { type Findings, SimulatedDisk } from "./simulated-disk.ts";

const message = (n: number) => ({
	...{ topic: `wattvox/v1/f/d${n}/desired`, qos: 1 as const },
	payload: Buffer.from(`wish ${n}`),
});

/** What the fleet's side keeps: the embedded broker its messages, a bucket its bundles. */
export async function fleetSide(world: World): Promise<Findings> {
	const a = new Attempts(world, "fleet");
	// it brings much along, which no other part needs
	const { S3Store, VoiceBook } = await import("@wattvox/fleet");
	const { RetainedStore } = await import("@wattvox/fleet/testing");
	const [ada = "", bob = ""] = world.digests;

	await a.attempt("a broker whose power is cut", async (_, dir) => {
		const disk = new SimulatedDisk(dir);
		disk.install();
		const images: { kept: number; image: string }[] = [];
		try {
			const store = new RetainedStore(join(dir, "broker"));
			await store.open();
			for (const n of [1, 2]) {
				await store.keep(message(n));
				images.push({ kept: n, image: join(dir, `image-${n}`) });
				await disk.afterCut("nothing").write(`${dir}/image-${n}`);
			}
			await store.close();
		} finally {
			disk.uninstall();
		}
		for (const { kept, image } of images) {
			const store = new RetainedStore(join(image, "broker"));
			const found = await store.open();
			await store.close();
			if (found.length !== kept) return `${found.length} of ${kept} are left`;
		}
		return undefined;
	});

	await a.attempt("a broker's log that rots", async (_, dir) => {
		const store = new RetainedStore(dir);
		await store.open();
		for (const n of [1, 2]) await store.keep(message(n));
		await store.close();
		const path = join(dir, "retained.log");
		const text = await readFile(path, "utf8");
		await writeFile(path, text.replace("/d1/", "/d3/"));
		const again = new RetainedStore(dir);
		const topics = (await again.open()).map(({ topic }) => topic);
		await again.close();
		return unless(topics.join(), message(2).topic, "it offers");
	});

	const bucket = async (
		dir: string,
		held: ReadonlyMap<string, string>,
		onPut: (name: string) => Promise<void>,
	) => {
		const server = createServer((request, reply) => {
			const name = (request.url ?? "").split("/").at(-1) ?? "";
			const chunks: Buffer[] = [];
			request.on("data", (chunk) => chunks.push(chunk));
			request.on("end", async () => {
				const tag = held.get(name);
				if (request.method === "PUT") await onPut(name);
				else if (request.method !== "HEAD" || tag === undefined)
					return reply.writeHead(404).end();
				else {
					const [etag = "", length = ""] = tag.split(" ");
					reply.setHeader("etag", `"${etag}"`);
					reply.setHeader("content-length", length);
				}
				reply.end();
			});
		}).listen(0, "127.0.0.1");
		await once(server, "listening");
		const { port } = server.address() as AddressInfo;
		const store = new S3Store({
			...{ bucket: "b", accessKeyId: "a", secretAccessKey: "s" },
			endpoint: `http://127.0.0.1:${port}`,
		});
		const folder = join(dir, "copy");
		await world.store.checkout(ada, folder, a.trust);
		const files = parseManifest(await readFile(join(folder, MANIFEST))).files;
		const put = () => store.put(folder, a.trust);
		const stop = () => {
			server.close();
			server.closeAllConnections();
		};
		return { folder, files, put, stop };
	};

	for (const which of ["file", "manifest"] as const)
		await a.attempt(
			`a ${which} that changes under a bucket`,
			async (_, dir) => {
				let done = false;
				const b = await bucket(dir, new Map(), async (name) => {
					// when the first file is there, the next one changes
					const next = which === "file" ? b.files.at(-1)?.name : MANIFEST;
					if (done || !next || !b.files.some((f) => f.sha256 === name)) return;
					done = true;
					await rot(join(b.folder, next), 3);
				});
				try {
					return unless(await code(b.put()), "E_TAMPERED", "it is put with");
				} finally {
					b.stop();
				}
			},
		);

	await a.attempt("a file that rotted in a bucket", async (_, dir) => {
		const put: string[] = [];
		const held = new Map<string, string>();
		const b = await bucket(dir, held, async (name) => void put.push(name));
		try {
			const [file] = b.files;
			if (!file) return "there is none";
			// an MD5, of other bytes
			held.set(
				file.sha256,
				`${sha256(Buffer.of(1)).slice(0, 32)} ${file.size}`,
			);
			await b.put();
			return put.includes(file.sha256) ? undefined : "it stays as it is";
		} finally {
			b.stop();
			await rm(b.folder, { recursive: true });
		}
	});
	await a.attempt("another voice's costs", async (_, dir) => {
		const other = await world.store.readManifest(bob);
		const book = new VoiceBook({
			attestations: dir,
			manifest: async () => other,
		});
		const [about] = await book.list([ada]);
		return unless(about?.voice, null, "are shown as those of");
	});
	return a.findings;
}
