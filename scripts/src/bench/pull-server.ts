/**
 * The far end of `bench pull`, a process of its own as it would be in a fleet: broker and store on
 * one side, a plain HTTP server of the same files on the other.
 *
 * argv: the store's folder. Sends {mqtt, http} over IPC once both listen; HTTP serves blobs by hash.
 */
import { createReadStream } from "node:fs";
import { stat } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { pipeline } from "node:stream/promises";
import { FolderStore } from "@wattvox/bundle";
import { Broker, ServingHeap, StoreServer } from "@wattvox/fleet";

// as `wattvox fleet serve` does
new ServingHeap().start();
const source = new FolderStore(process.argv[2] ?? "");

const broker = await Broker.start({ port: 0 });
const server = new StoreServer({ source, broker });
await server.start();

const http = createServer({ noDelay: true }, async (request, response) => {
	const name = (request.url ?? "").slice(1);
	const path = /^[0-9a-f]{64}$/.test(name) ? source.blobPath(name) : undefined;
	const info = path && (await stat(path).catch(() => undefined));
	if (!path || !info) return void response.writeHead(404).end();
	response.setHeader("content-length", info.size);
	// A client that goes away mid-stream is the client's business.
	await pipeline(createReadStream(path), response).catch(() => undefined);
});
await new Promise<void>((resolve) => http.listen(0, "127.0.0.1", resolve));
const { port } = http.address() as AddressInfo;
process.send?.({ mqtt: broker.url, http: `http://127.0.0.1:${port}` });
// The parent's end ends this too.
process.once("disconnect", () => process.exit());
