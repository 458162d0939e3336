/**
 * The far end of `bench pull`, a process of its own as it would be in a fleet: broker and store on
 * one side, a plain HTTP server of the same file on the other.
 *
 * argv: the store's folder, the file that HTTP serves. Sends {mqtt, http} over IPC once both listen.
 */
import { createReadStream } from "node:fs";
import { stat } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { pipeline } from "node:stream/promises";
import { FolderStore } from "@wattvox/bundle";
import { Broker, StoreServer } from "@wattvox/fleet";

const [store = "", file = ""] = process.argv.slice(2);
const { size } = await stat(file);

const broker = await Broker.start({ port: 0 });
const server = new StoreServer({
	source: new FolderStore(store),
	broker: { url: broker.url },
});
await server.start();

const http = createServer((_, response) => {
	response.setHeader("content-length", size);
	// A client that goes away mid-stream is the client's business.
	pipeline(createReadStream(file), response).catch(() => undefined);
});
await new Promise<void>((resolve) => http.listen(0, "127.0.0.1", resolve));
const { port } = http.address() as AddressInfo;
process.send?.({ mqtt: broker.url, http: `http://127.0.0.1:${port}/` });
// The parent's end ends this too.
process.once("disconnect", () => process.exit());
